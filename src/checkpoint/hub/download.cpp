#include "checkpoint/hub/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "checkpoint/hub/names.h"

namespace mica::hub {
namespace {

// Where no size is stated the file is a small one: the hub keeps large ones with a size.
constexpr uint64_t kMaxUnstatedSize = 256 << 20;
// A connection that brought this much was worth having: failures are counted anew.
constexpr uint64_t kProgressBytes = 1 << 20;

// "bytes 100-199/200" → 100; nullopt when it is anything else.
std::optional<uint64_t> range_start(const std::string& header) {
  uint64_t start = 0;
  if (!header.starts_with("bytes ")) return std::nullopt;
  const char* end = header.data() + header.size();
  const auto [rest, error] = std::from_chars(header.data() + 6, end, start);
  if (error != std::errc() || rest == end || *rest != '-') return std::nullopt;
  return start;
}

}  // namespace

BlobDownload::BlobDownload(HttpClient& client, const HubPatience& patience, std::string url,
                           const RemoteFile& file, std::filesystem::path incomplete,
                           std::filesystem::path blob, const DownloadHooks& hooks)
    : client_(client),
      patience_(patience),
      url_(std::move(url)),
      file_(file),
      incomplete_(std::move(incomplete)),
      blob_(std::move(blob)),
      hooks_(hooks),
      size_(file.size) {}

BlobDownload::~BlobDownload() {
  if (fd_ >= 0) ::close(fd_);
}

void BlobDownload::open_incomplete() {
  fd_ = ::open(incomplete_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  struct stat status {};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0) throw_write_error(incomplete_, errno);
  offset_ = static_cast<uint64_t>(status.st_size);
  // Without a stated size nothing tells whether the beginning belongs to this content.
  if (!size_ || offset_ > *size_) return restart();
  if (digest_kind(file_.etag) == DigestKind::kNone) {
    if (offset_ > 0) restart();  // no hash would catch a wrong beginning
    return;
  }
  digest_.emplace(digest_kind(file_.etag), *size_);
  digest_->update_from_file(incomplete_, offset_);
  if (offset_ > 0)
    hooks_.on_note(fmt::format("continues after {:.1f} MB", static_cast<double>(offset_) / 1e6));
  hooks_.on_bytes(offset_);
}

void BlobDownload::restart() {
  if (::ftruncate(fd_, 0) != 0) throw_write_error(incomplete_, errno);
  offset_ = 0;
  ended_ = false;
  size_ = file_.size;
  digest_.reset();
  if (size_ && digest_kind(file_.etag) != DigestKind::kNone)
    digest_.emplace(digest_kind(file_.etag), *size_);
  hooks_.on_bytes(0);
}

bool BlobDownload::is_complete() const {
  return size_ ? offset_ == *size_ : ended_;
}

// Decides from the headers where the bytes that follow belong.
void BlobDownload::begin_body(const HttpResponse& response) {
  const std::string encoding = response.header("content-encoding");
  if (!encoding.empty() && encoding != "identity")
    throw Error(ErrorKind::kNetwork, "[hub] {}: expected the plain file, found it encoded as '{}'",
                printable(response.url), printable(encoding, 40));
  if (response.status != 206 && offset_ > 0) {
    hooks_.on_note("the server can't continue; starts again");
    restart();
  }
  if (response.status == 206 && range_start(response.header("content-range")) != offset_)
    throw Error(ErrorKind::kNetwork, "[hub] {}: asked for bytes from {}, found Content-Range '{}'",
                printable(response.url), offset_, printable(response.header("content-range"), 80));
  const std::optional<uint64_t> length = response.number("content-length");
  if (!size_ && length && response.status == 200) size_ = *length;
  if (size_ && length && offset_ + *length > *size_)
    throw Error(ErrorKind::kNetwork,
                "[hub] {}: expected {} bytes in all, the server announces {} after {}",
                printable(file_.name), *size_, *length, offset_);
}

void BlobDownload::append(const char* data, size_t size) {
  if (offset_ + size > size_.value_or(kMaxUnstatedSize))
    throw Error(ErrorKind::kNetwork,
                "[hub] {}: expected {} {} bytes, the server sends more; nothing beyond was kept",
                printable(file_.name), size_ ? "exactly" : "at most",
                size_.value_or(kMaxUnstatedSize));
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pwrite(fd_, data + done, size - done, static_cast<off_t>(offset_ + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_write_error(incomplete_, n < 0 ? errno : ENOSPC);
    done += static_cast<size_t>(n);
  }
  if (digest_) digest_->update(data, size);
  offset_ += size;
  hooks_.on_bytes(offset_);
}

HttpResponse BlobDownload::attempt() {
  HttpRequest request;
  request.url = url_;
  request.from = offset_;
  request.on_headers = [&](const HttpResponse& response) { begin_body(response); };
  request.sink = [&](const char* data, size_t size) { append(data, size); };
  HttpResponse response = client_.send(request);
  if (response.failure.empty() && response.status == 416) {
    restart();
    response.transient = true;
  }
  if (response.ok() && !size_) ended_ = true;
  if (response.ok() && !is_complete()) {
    response.failure = fmt::format("the connection ended after {} of {} bytes", offset_, *size_);
    response.transient = true;
  }
  return response;
}

// Tries until all bytes are there; returns the answer that refused them for good.
std::optional<HttpResponse> BlobDownload::fetch_all() {
  int failures = 0;
  while (!is_complete()) {
    const uint64_t before = offset_;
    HttpResponse response = attempt();
    if (is_complete() && response.status / 100 == 2) break;
    if (offset_ >= before + kProgressBytes) failures = 0;
    if (!response.transient || ++failures >= patience_.attempts) return response;
    if (!size_) restart();
    const double pause = pause_before_retry(patience_, failures, response);
    hooks_.on_note(fmt::format("{}; next try in {:.0f} s", describe(response), std::ceil(pause)));
    hooks_.wait(pause);
  }
  return std::nullopt;
}

bool BlobDownload::hash_is_right(std::string& found) {
  const DigestKind kind = digest_kind(file_.etag);
  if (kind == DigestKind::kNone) return true;
  if (!digest_) {  // the size was not known when the bytes came
    digest_.emplace(kind, offset_);
    digest_->update_from_file(incomplete_, offset_);
  }
  found = digest_->hex();
  return found == file_.etag;
}

void BlobDownload::publish() {
  // The name promises whole content, also after a power failure.
  if (::fdatasync(fd_) != 0 && errno != EINVAL && errno != ENOSYS)
    throw_write_error(incomplete_, errno);
  if (::rename(incomplete_.c_str(), blob_.c_str()) != 0) throw_write_error(blob_, errno);
}

std::optional<HttpResponse> BlobDownload::run() {
  open_incomplete();
  bool resumed = offset_ > 0;
  for (;;) {
    std::optional<HttpResponse> refused = fetch_all();
    if (refused) return refused;
    std::string found;
    if (hash_is_right(found)) break;
    if (resumed) {  // the beginning may be of another time: once more, from nothing
      hooks_.on_note("the hash is wrong; starts again without the part that was there");
      resumed = false;
      restart();
      continue;
    }
    ::unlink(incomplete_.c_str());
    throw Error(ErrorKind::kNetwork,
                "[hub] {}: expected the {} {}, the {} bytes that came have {}; the file was "
                "removed, pull again, and if it stays so the server or a proxy damages it",
                printable(file_.name),
                digest_kind(file_.etag) == DigestKind::kSha256 ? "SHA-256" : "git hash", file_.etag,
                offset_, found);
  }
  publish();
  return std::nullopt;
}

}  // namespace mica::hub
