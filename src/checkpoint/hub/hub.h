// Models of the hub: downloads into, and look-ups in, the cache folder that other tools share.
//
// Layout of the cache (docs of huggingface_hub, "Manage your cache"):
//   models--ORG--NAME/blobs/<etag>                    content; <etag>.incomplete while it is
//   fetched models--ORG--NAME/snapshots/<commit>/<file>  →    relative symlink to
//   ../../blobs/<etag> models--ORG--NAME/refs/<revision>                 the commit that a branch
//   or tag stood for models--ORG--NAME/.no_exist/<commit>/<file>       a file that the hub said it
//   doesn't have .locks/models--ORG--NAME/<etag>.lock              flock(2) while a blob is fetched
// Mica writes refs/<revision> last, so an interrupted pull is never taken for a whole model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mica {

// One report of a running pull. Counts are of the whole pull; files already cached count as done.
struct PullProgress {
  enum class Event {
    kPlanned,  // files_total and total_bytes are known; `file` is empty
    kCached,   // `file` was already in the cache
    kBytes,    // more of `file` arrived; at most ten a second for each file
    kDone,     // `file` is complete, its hash was checked
    kNote,     // `note` says why a file waits: a retry, another process, a restart
  };
  Event event = Event::kBytes;
  std::string file;
  std::string note;
  uint64_t file_bytes = 0;   // bytes of `file` on disk, those of an earlier attempt included
  uint64_t file_total = 0;   // its size; 0 when the server did not state one
  uint64_t done_bytes = 0;   // bytes on disk of all files
  uint64_t total_bytes = 0;  // their sizes
  int files_done = 0;
  int files_total = 0;
};

// How long to wait and how often to try again. The defaults suit the hub.
struct HubPatience {
  int attempts = 5;             // in a row without progress, per request or file
  double first_pause = 1.0;     // seconds; doubles with each failure, up to 30
  double connect_seconds = 10;  // until a connection stands
  double stall_seconds = 30;    // with less than 256 bytes a second the connection is given up
};

struct HubOptions {
  std::string endpoint;         // "https://huggingface.co", without a slash at the end
  std::string token;            // sent to the endpoint's own origin only; empty: none
  std::string token_source;     // where it came from, for messages: "HF_TOKEN" or a path
  std::filesystem::path cache;  // the folder of models--…
  // pull_model puts the files here, under their own names, instead of into the cache; empty: cache.
  std::filesystem::path folder;
  std::string certificates;  // a PEM file of trusted authorities; empty: the system's
  bool offline = false;
  int parallel = 4;                  // files at once
  std::vector<std::string> include;  // glob patterns; empty: what a model needs
  std::vector<std::string> exclude;  // glob patterns, stronger than `include`
  HubPatience patience;
  // Called from several threads, one call at a time. May be empty.
  std::function<void(const PullProgress&)> progress;
};

// HF_ENDPOINT, HF_TOKEN (then HF_TOKEN_PATH, $HF_HOME/token), HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE
// and their older names, with the meaning they have for other tools.
HubOptions hub_options_from_environment();

// Splits "org/name@revision". Throws kUsage when it can't be a model's name.
struct ModelId {
  std::string repo;
  std::string revision = "main";
};
ModelId parse_model_id(const std::string& text);

// Downloads what is missing and returns the snapshot's directory. An empty revision means "main".
// Throws kNetwork (the hub, or what it sent), kUsage (names, patterns), kCheckpoint (the cache).
// After an error the finished files and the beginnings of others stay: the next pull continues.
std::filesystem::path pull_model(const std::string& repo, const std::string& revision,
                                 const HubOptions& options);

// What pull_model would fetch, and where it would lie.
struct PullPlan {
  struct File {
    std::string name;
    uint64_t size = 0;  // 0 when the server did not state one
    uint64_t here = 0;  // bytes that need not be fetched; judged by names and sizes, not by hashes
  };
  std::filesystem::path folder;
  std::vector<File> files;
};

// Asks the hub, writes nothing. Throws as pull_model.
PullPlan plan_pull(const std::string& repo, const std::string& revision, const HubOptions& options);

// A directory as it is; else "org/name[@revision]" when the cache has it whole; else nullopt.
std::optional<std::filesystem::path> find_model(const std::string& path_or_repo,
                                                const HubOptions& options);

// As find_model, and pulls what is not cached (unless offline): for every `--model`.
std::filesystem::path resolve_model(const std::string& path_or_repo, const HubOptions& options);

}  // namespace mica
