// pull_model: lists the repository, plans, downloads several files at once, writes the reference.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "checkpoint/hub/cache.h"
#include "checkpoint/hub/download.h"
#include "checkpoint/hub/folder.h"
#include "checkpoint/hub/hub.h"
#include "checkpoint/hub/listing.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace hub {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Event = PullProgress::Event;

struct Item {
  RemoteFile remote;
  bool cached = false;
  uint64_t on_disk = 0;
  Clock::time_point told{};  // when kBytes was last reported
};

// Leaves a transfer because another file's failure ends the pull; never leaves this file.
struct GivenUp {};

uint64_t saturating_add(uint64_t a, uint64_t b) {
  return a + b < a ? UINT64_MAX : a + b;
}

std::unique_ptr<const PullTarget> target_of(const ModelId& id, const HubOptions& options) {
  if (options.folder.empty()) return std::make_unique<RepoCache>(options.cache, id.repo);
  return std::make_unique<PlainFolder>(options.folder);
}

class Pull {
 public:
  Pull(ModelId id, const HubOptions& options)
      : id_(std::move(id)), options_(options), target_(target_of(id_, options)) {}
  fs::path run();
  PullPlan plan();

 private:
  using Task = void (Pull::*)(HttpClient&, Item&);
  void list();
  void for_each_item(Task task);
  void work(Task task, std::atomic<size_t>& next);
  void record(const Error& error);
  void throw_recorded() const;
  void plan_item(HttpClient& client, Item& item);
  void fetch_item(HttpClient& client, Item& item);
  void download(HttpClient& client, Item& item, bool locked);
  bool seems_here(const Item& item) const;
  void check_space() const;
  void wait(double seconds) const;
  void report(Event event, Item* item, const std::string& note = "");
  OnRetry on_retry(Item* item);

  const ModelId id_;
  const HubOptions& options_;
  const std::unique_ptr<const PullTarget> target_;
  std::string commit_;
  std::vector<Item> items_;
  std::mutex mutex_;  // guards the callback and what it reports, and the errors
  int files_done_ = 0;
  uint64_t done_bytes_ = 0, total_bytes_ = 0;
  std::vector<Error> errors_;
  std::atomic<bool> no_new_files_{false};
  std::atomic<bool> stopped_{false};
  bool dry_ = false;  // nothing is written
};

void Pull::report(Event event, Item* item, const std::string& note) {
  const std::lock_guard<std::mutex> guard(mutex_);
  if (item) {
    if (event == Event::kBytes) {
      const auto now = Clock::now();
      if (now - item->told < std::chrono::milliseconds(100)) return;
      item->told = now;
    }
    if (event == Event::kDone || event == Event::kCached) ++files_done_;
  }
  if (!options_.progress) return;
  PullProgress progress;
  progress.event = event;
  progress.note = note;
  if (item) {
    progress.file = item->remote.name;
    progress.file_bytes = item->on_disk;
    progress.file_total = item->remote.size.value_or(0);
  }
  progress.done_bytes = done_bytes_;
  progress.total_bytes = total_bytes_;
  progress.files_done = files_done_;
  progress.files_total = static_cast<int>(items_.size());
  options_.progress(progress);
}

void Pull::wait(double seconds) const {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    if (stopped_) throw GivenUp{};
    std::this_thread::sleep_for(std::min<Clock::duration>(
        std::chrono::milliseconds(50), std::chrono::duration_cast<Clock::duration>(
                                           end - Clock::now() + std::chrono::milliseconds(1))));
  }
}

OnRetry Pull::on_retry(Item* item) {
  return [this, item](const std::string& note, double pause) {
    report(Event::kNote, item, note);
    wait(pause);
  };
}

void Pull::list() {
  HttpClient client(options_);
  const Listing listing = fetch_listing(client, options_, id_, on_retry(nullptr));
  commit_ = listing.commit;
  for (const std::string& file : listing.files)
    if (is_wanted(file, options_.include, options_.exclude)) {
      Item item;
      item.remote.name = file;
      items_.push_back(std::move(item));
    }
  if (!items_.empty()) return;
  std::string some;
  for (size_t i = 0; i < std::min<size_t>(listing.files.size(), 8); ++i)
    some += (i ? ", " : "") + printable(listing.files[i], 60);
  throw Error(ErrorKind::kUsage,
              "[hub] none of the {} files of {} is wanted by the patterns; it has: {}{}; widen "
              "include or exclude",
              listing.files.size(), id_.repo, some.empty() ? "nothing" : some,
              listing.files.size() > 8 ? " …" : "");
}

void Pull::record(const Error& error) {
  const std::lock_guard<std::mutex> guard(mutex_);
  errors_.push_back(error);
  // Without room or permission the other files fare no better.
  if (error.kind() != ErrorKind::kNetwork) stopped_ = no_new_files_ = true;
}

void Pull::work(Task task, std::atomic<size_t>& next) {
  try {
    HttpClient client(options_);
    while (!no_new_files_) {
      const size_t i = next++;
      if (i >= items_.size()) return;
      try {
        (this->*task)(client, items_[i]);
      } catch (const Error& e) {
        record(e);
      }
    }
  } catch (const GivenUp&) {
  } catch (const Error& e) {
    record(e);
  } catch (const std::exception& e) {
    record(Error(ErrorKind::kInternal, "[hub] {}", e.what()));
  }
}

void Pull::for_each_item(Task task) {
  std::atomic<size_t> next{0};
  const size_t count =
      std::min(items_.size(), static_cast<size_t>(std::clamp(options_.parallel, 1, 64)));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i)
    threads.emplace_back([this, task, &next] { work(task, next); });
  for (std::thread& thread : threads) thread.join();
  throw_recorded();
}

void Pull::throw_recorded() const {
  if (errors_.empty()) return;
  std::string text = errors_.front().what();
  if (errors_.size() > 1) text += fmt::format(" (and {} more errors)", errors_.size() - 1);
  if (files_done_ > 0)
    text += fmt::format(" [{} of {} files are complete and kept]", files_done_, items_.size());
  throw Error(errors_.front().kind(), text);
}

// Learns etag and size; the name of a complete file in the snapshot of a commit never changes.
void Pull::plan_item(HttpClient& client, Item& item) {
  const std::string name = item.remote.name;
  if (target_->has_file(commit_, name)) {
    std::error_code ignored;
    item.cached = true;
    item.remote.size = item.on_disk = fs::file_size(target_->snapshot(commit_) / name, ignored);
    return;
  }
  std::optional<RemoteFile> remote =
      fetch_metadata(client, options_, id_, commit_, name, on_retry(&item));
  if (!remote) {
    if (!dry_) target_->note_missing(commit_, name);
    throw Error(ErrorKind::kNetwork, "[hub] {} lists {}, but answers 404 (not found) for it",
                options_.endpoint, printable(name));
  }
  item.remote = std::move(*remote);
  std::error_code missing;  // the beginning that an earlier pull left counts as done
  const uint64_t have = fs::file_size(target_->incomplete(item.remote.etag), missing);
  if (!missing) item.on_disk = std::min(have, item.remote.size.value_or(0));
}

// By the name and the size; whether the content is right is asked under the lock.
bool Pull::seems_here(const Item& item) const {
  std::error_code missing;
  const uint64_t have = fs::file_size(target_->content(item.remote), missing);
  return !missing && item.remote.size.value_or(have) == have;
}

void Pull::check_space() const {
  uint64_t needed = 0;
  for (const Item& item : items_) {
    if (item.cached || seems_here(item)) continue;
    needed = saturating_add(needed, item.remote.size.value_or(0) - item.on_disk);
  }
  struct statvfs disk {};
  if (::statvfs(target_->root().c_str(), &disk) != 0) return;
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (needed <= free) return;
  throw Error(ErrorKind::kCheckpoint,
              "[hub] {}: {:.2f} GB are missing, the disk has {:.2f} GB free; free some space or "
              "set {} to a folder on another disk",
              target_->root().string(), static_cast<double>(needed) / 1e9,
              static_cast<double>(free) / 1e9,
              options_.folder.empty() ? "HF_HUB_CACHE" : "storage in the models file");
}

void Pull::fetch_item(HttpClient& client, Item& item) {
  if (item.cached) return report(Event::kCached, &item);
  const FileLock lock(target_->lock(item.remote.etag), [&](double seconds) {
    if (stopped_) throw GivenUp{};
    if (seconds < 0.5) return;
    report(Event::kNote, &item, "waits: another process downloads it");
  });
  const bool whole = seems_here(item) && target_->is_right(item.remote);
  if (!whole) download(client, item, lock.held());
  if (whole) {
    std::error_code ignored;
    const uint64_t have = fs::file_size(target_->content(item.remote), ignored);
    const std::lock_guard<std::mutex> guard(mutex_);
    done_bytes_ += have - item.on_disk;
    item.on_disk = have;
  }
  target_->keep(commit_, item.remote);
  report(whole ? Event::kCached : Event::kDone, &item);
}

void Pull::download(HttpClient& client, Item& item, bool locked) {
  DownloadHooks hooks;
  hooks.on_bytes = [&](uint64_t bytes) {
    if (stopped_) throw GivenUp{};
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      done_bytes_ += bytes - item.on_disk;  // also backwards, at a restart
      item.on_disk = bytes;
    }
    report(Event::kBytes, &item);
  };
  hooks.on_note = [&](const std::string& note) { report(Event::kNote, &item, note); };
  hooks.wait = [&](double seconds) { wait(seconds); };
  // Without a lock two processes must not write one file: each has its own, and nothing resumes.
  const std::string& etag = item.remote.etag;
  const fs::path incomplete =
      target_->incomplete(locked ? etag : fmt::format("{}.{}", etag, ::getpid()));
  target_->make_folder_of(item.remote);
  BlobDownload download(client, options_.patience,
                        file_url(options_, id_.repo, commit_, item.remote.name), item.remote,
                        incomplete, target_->content(item.remote), hooks);
  const std::optional<HttpResponse> refused = download.run();
  if (!refused) return;
  no_new_files_ = true;  // the network or the permission is gone: begin no other file
  throw_refusal(*refused, options_, id_);
}

fs::path Pull::run() {
  list();
  for_each_item(&Pull::plan_item);
  for (const Item& item : items_) {
    total_bytes_ = saturating_add(total_bytes_, item.remote.size.value_or(0));
    done_bytes_ = saturating_add(done_bytes_, item.on_disk);
  }
  target_->make_folders(commit_);
  check_space();
  report(Event::kPlanned, nullptr);
  for_each_item(&Pull::fetch_item);
  target_->write_ref(id_.revision, commit_);
  return target_->snapshot(commit_);
}

PullPlan Pull::plan() {
  dry_ = true;
  list();
  for_each_item(&Pull::plan_item);
  PullPlan plan;
  plan.folder = target_->snapshot(commit_);
  for (const Item& item : items_) {
    const uint64_t size = item.remote.size.value_or(0);
    plan.files.push_back(
        {item.remote.name, size, item.cached || seems_here(item) ? size : item.on_disk});
  }
  return plan;
}

HubOptions absolute_options(const HubOptions& options) {
  HubOptions absolute = options;
  absolute.cache = fs::absolute(options.cache).lexically_normal();
  if (!options.folder.empty()) absolute.folder = fs::absolute(options.folder).lexically_normal();
  return absolute;
}

[[noreturn]] void throw_offline(const ModelId& id, const HubOptions& options) {
  throw Error(ErrorKind::kNetwork,
              "[hub] {}@{} {} {}, and offline mode is on; unset HF_HUB_OFFLINE (or leave --offline "
              "away) to download it",
              id.repo, id.revision,
              options.folder.empty() ? "is not whole in" : "can't be compared with the hub's in",
              (options.folder.empty() ? options.cache : options.folder).string());
}

}  // namespace
}  // namespace hub

std::filesystem::path pull_model(const std::string& repo, const std::string& revision,
                                 const HubOptions& options) {
  const ModelId id = parse_model_id(revision.empty() ? repo : repo + "@" + revision);
  const HubOptions absolute = hub::absolute_options(options);
  if (options.offline) {
    const auto found =
        options.folder.empty() ? find_model(id.repo + "@" + id.revision, absolute) : std::nullopt;
    if (found) return *found;
    hub::throw_offline(id, absolute);
  }
  return hub::Pull(id, absolute).run();
}

PullPlan plan_pull(const std::string& repo, const std::string& revision,
                   const HubOptions& options) {
  const ModelId id = parse_model_id(revision.empty() ? repo : repo + "@" + revision);
  const HubOptions absolute = hub::absolute_options(options);
  if (options.offline) hub::throw_offline(id, absolute);
  return hub::Pull(id, absolute).plan();
}

}  // namespace mica
