#include "bench/launch/log_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace mica {
namespace {

int open_log(const std::filesystem::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

// Bytes of the terminal's control sequence that `text` begins with ("\e[1;31m", "\e]0;title\a").
size_t control_sequence(std::string_view text) {
  if (text[0] != '\x1b') return 0;
  if (text.size() < 2) return 1;
  if (text[1] == '[') {
    size_t end = 2;
    while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
    return std::min(end + 1, text.size());
  }
  if (text[1] == ']') return std::min(text.find_first_of("\a\x1b", 2), text.size() - 1) + 1;
  return 2;
}

std::string cleaned(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    const size_t skip = control_sequence(text), length = utf8_sequence(text);
    if (skip == 0 && length == 0) out += "\xef\xbf\xbd";  // U+FFFD
    if (skip == 0 && length > 0 && c >= 0x20 && c != 0x7f) out += text.substr(0, length);
    if (c == '\t') out += ' ';
    text.remove_prefix(std::max<size_t>(1, std::max(skip, skip ? 0 : length)));
  }
  return out;
}

}  // namespace

LogFile::LogFile(std::filesystem::path file, uint64_t part_bytes)
    : path_(std::move(file)), part_bytes_(part_bytes), fd_(open_log(path_)) {
  if (fd_ < 0)
    throw Error(ErrorKind::kUsage, "[launch] {}: the engine's log can't be written: {}",
                path_.string(), std::strerror(errno));
  thread_ = std::thread([this] { run(); });
}

LogFile::~LogFile() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
  if (fd_ >= 0) ::close(fd_);
}

void LogFile::append(std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    const size_t room = kMaxPending - std::min(kMaxPending, pending_.size());
    pending_ += bytes.substr(0, room);
    dropped_ += bytes.size() - std::min(room, bytes.size());
  }
  wake_.notify_one();
}

uint64_t LogFile::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

std::string LogFile::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void LogFile::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !pending_.empty(); });
    if (pending_.empty()) return;
    const std::string bytes = std::exchange(pending_, {});
    lock.unlock();
    write(bytes);
    lock.lock();
  }
}

bool LogFile::next_part() {
  std::filesystem::path tail = path_;
  tail += ".tail";
  if (in_tail_) {
    std::filesystem::path old = tail;
    old += ".1";
    std::error_code ignored;
    std::filesystem::rename(tail, old, ignored);
  }
  in_tail_ = true;
  written_ = 0;
  ::close(fd_);
  fd_ = open_log(tail);
  return fd_ >= 0;
}

void LogFile::write(std::string_view bytes) {
  while (!bytes.empty() && fd_ >= 0) {
    if (written_ >= part_bytes_ && !next_part()) break;
    const size_t room = static_cast<size_t>(part_bytes_ - written_);
    const ssize_t done = ::write(fd_, bytes.data(), std::min(bytes.size(), room));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) break;
    written_ += static_cast<uint64_t>(done);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  if (bytes.empty()) return;
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = std::strerror(errno);
  dropped_ += bytes.size();
}

void LineCutter::end_line(const std::function<void(std::string_view)>& on_line) {
  on_line(cleaned(line_));
  line_.clear();
  restart_ = false;
}

void LineCutter::feed(std::string_view bytes,
                      const std::function<void(std::string_view)>& on_line) {
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    if (end > 0 && std::exchange(restart_, false)) line_.clear();
    line_ += bytes.substr(0, std::min(end, line_bytes_ - std::min(line_bytes_, line_.size())));
    if (end < bytes.size() && bytes[end] == '\n') end_line(on_line);
    if (end < bytes.size() && bytes[end] == '\r') restart_ = true;
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
}

void LineCutter::finish(const std::function<void(std::string_view)>& on_line) {
  if (!line_.empty()) end_line(on_line);
}

LogPump::LogPump(LogOptions options) : options_(std::move(options)), cutter_(options_.line_bytes) {
  if (!options_.file.empty()) file_ = std::make_unique<LogFile>(options_.file, options_.part_bytes);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC);
}

LogPump::~LogPump() {
  stop();
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

void LogPump::start(int fd) {
  MICA_CHECK(fd_ < 0 && fd >= 0);
  fd_ = fd;
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  last_byte_ = Clock::now();
  thread_ = std::thread([this] { run(); });
}

void LogPump::stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!::write(wake_fd_, &one, sizeof one);
  thread_.join();
  ::close(std::exchange(fd_, -1));
}

void LogPump::keep(std::string_view line) {
  if (options_.on_line) options_.on_line(line);
  const std::lock_guard lock(mutex_);
  ring_.emplace_back(line);
  if (ring_.size() > options_.ring_lines) ring_.pop_front();
}

// False at the end of the pipe.
bool LogPump::read_some() {
  std::array<char, 1 << 16> buffer;
  const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
  if (file_) file_->append(bytes);
  {
    const std::lock_guard lock(mutex_);
    bytes_ += bytes.size();
    last_byte_ = Clock::now();
  }
  cutter_.feed(bytes, [this](std::string_view line) { keep(line); });
  return true;
}

void LogPump::run() {
  int rest = 64;  // reads after stop(), at most: somebody may write without end
  for (;;) {
    pollfd files[2] = {{fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    if (::poll(files, 2, -1) < 0 && errno != EINTR) break;
    const bool ending = files[1].revents != 0;
    // Asked to end: what is in the pipe is read, what still comes is not waited for.
    if (ending && (files[0].revents == 0 || --rest < 0)) break;
    if (files[0].revents != 0 && !read_some()) break;
  }
  cutter_.finish([this](std::string_view line) { keep(line); });
  const std::lock_guard lock(mutex_);
  ended_ = true;
  ended_cv_.notify_all();
}

bool LogPump::wait_end(std::chrono::milliseconds patience) const {
  std::unique_lock lock(mutex_);
  return ended_cv_.wait_for(lock, patience, [this] { return ended_; });
}

std::vector<std::string> LogPump::tail(size_t lines) const {
  const std::lock_guard lock(mutex_);
  const size_t first = ring_.size() - std::min(lines, ring_.size());
  return {ring_.begin() + static_cast<ptrdiff_t>(first), ring_.end()};
}

std::string LogPump::last_line() const {
  const std::lock_guard lock(mutex_);
  return ring_.empty() ? "" : ring_.back();
}

uint64_t LogPump::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

double LogPump::silence() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration<double>(Clock::now() - last_byte_).count();
}

}  // namespace mica
