// One file's content, from the hub into blobs/: resumed, bounded, checked, then put in place.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/hub/cache.h"
#include "checkpoint/hub/digest.h"
#include "checkpoint/hub/listing.h"

namespace mica::hub {

struct DownloadHooks {
  std::function<void(uint64_t bytes_on_disk)> on_bytes;
  std::function<void(const std::string&)> on_note;
  std::function<void(double seconds)> wait;  // sleeps; throws when the pull is given up
};

class BlobDownload {
 public:
  // `url` is of the endpoint; `incomplete` and `blob` lie on one file system. The caller holds the
  // blob's lock.
  BlobDownload(HttpClient& client, const HubPatience& patience, std::string url,
               const RemoteFile& file, std::filesystem::path incomplete, std::filesystem::path blob,
               const DownloadHooks& hooks);
  ~BlobDownload();
  BlobDownload(const BlobDownload&) = delete;
  BlobDownload& operator=(const BlobDownload&) = delete;

  // Until the blob is in place. Throws kNetwork or kCheckpoint; the incomplete file stays for the
  // next pull, unless its hash was wrong. A refusal (401, 404 …) is returned, not thrown.
  std::optional<HttpResponse> run();

 private:
  void open_incomplete();
  void restart();  // drops what is there
  bool is_complete() const;
  HttpResponse attempt();
  void begin_body(const HttpResponse& response);
  void append(const char* data, size_t size);
  std::optional<HttpResponse> fetch_all();
  bool hash_is_right(std::string& found);
  void publish();

  HttpClient& client_;
  const HubPatience& patience_;
  const std::string url_;
  const RemoteFile& file_;
  const std::filesystem::path incomplete_;
  const std::filesystem::path blob_;
  const DownloadHooks& hooks_;
  int fd_ = -1;
  uint64_t offset_ = 0;           // bytes on disk
  std::optional<uint64_t> size_;  // stated by HEAD, else by GET
  bool ended_ = false;            // without a stated size: the answer was whole
  std::optional<Digest> digest_;  // of the bytes so far; none when it can't be made yet
};

}  // namespace mica::hub
