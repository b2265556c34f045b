#include "bench/results/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "bench/results/new_file.h"
#include "bench/results/parts_json.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

std::string line_of(const char* type, OrderedJson json) {
  OrderedJson line = {{"type", type}};
  line.update(json);
  return dump(line) + "\n";
}

void read_line(const JsonNode& node, JournalContent& content) {
  const std::string type = node.at("type").text();
  RunRecord& run = content.run;
  if (type == "request")
    run.requests.push_back(read_request(node));
  else if (type == "phase")
    run.phases.push_back(read_phase(node));
  else if (type == "mark")
    run.marks.push_back(read_mark(node));
  else if (type == "gpu_use")
    run.gpu_use.push_back(read_gpu_use(node));
  else if (type == "provenance")
    run.provenance = read_provenance(node);
  else if (type == "telemetry")
    run.telemetry.push_back(read_series(node));
  else if (type == "server")
    run.server.push_back(read_series(node));
  else if (type == "end") {
    run.state = read_state(node.at("state"));
    node.read("error", run.error);
    content.ended = true;
  } else {
    node.at("type").wrong("a line of a journal");
  }
}

}  // namespace

// Forces written lines to the disk once a second.
struct Journal::Syncer {
  explicit Syncer(int fd) : fd(fd), thread([this] { run(); }) {}
  ~Syncer() {
    {
      const std::lock_guard lock(mutex);
      ending = true;
    }
    wake.notify_one();
    thread.join();
  }
  void run() {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, std::chrono::seconds(1), [this] { return ending; }))
      if (dirty.exchange(false)) ::fdatasync(fd);
  }

  const int fd;
  std::atomic<bool> dirty = false;
  std::mutex mutex;
  std::condition_variable wake;
  bool ending = false;
  std::thread thread;
};

Journal::Journal(fs::path path, int fd, JournalSync sync)
    : path_(std::move(path)),
      fd_(fd),
      sync_(sync),
      syncer_(sync == JournalSync::kEachSecond ? std::make_unique<Syncer>(fd) : nullptr),
      mutex_(std::make_unique<std::mutex>()) {}

Journal::Journal(Journal&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      sync_(other.sync_),
      syncer_(std::move(other.syncer_)),
      mutex_(std::move(other.mutex_)) {}

Journal::~Journal() {
  syncer_.reset();
  if (fd_ >= 0) ::close(fd_);
}

std::optional<Journal> Journal::create(const fs::path& folder, const RunRecord& head,
                                       JournalSync sync) {
  const fs::path path = folder / (head.id + ".journal"), finished = folder / (head.id + ".json");
  std::error_code ignored;
  if (fs::exists(finished, ignored)) return std::nullopt;
  // It gets its name when it is locked and has its first line: recovery never sees it otherwise.
  // Two threads may begin runs of one id; the later one is told by the name.
  static std::atomic<uint64_t> count = 0;
  const fs::path unnamed = path.string() + fmt::format(".{}.{}.new", ::getpid(), ++count);
  const int fd = ::open(unnamed.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0)
    throw Error(ErrorKind::kUsage, "[results] {}: can't be made: {}", unnamed.string(),
                std::strerror(errno));
  Journal journal(unnamed, fd, sync);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    throw Error(ErrorKind::kUsage,
                "[results] {}: can't be locked: {}; the folder's file system "
                "has no locks?",
                unnamed.string(), std::strerror(errno));
  journal.write(line_of("head", head_json(head)));
  ::fdatasync(fd);
  if (!rename_new(unnamed, path)) {
    ::unlink(unnamed.c_str());
    return std::nullopt;
  }
  // One of this id may have ended meanwhile: its journal goes when its file is there.
  if (fs::exists(finished, ignored)) {
    ::unlink(path.c_str());
    return std::nullopt;
  }
  journal.path_ = path;
  return journal;
}

void Journal::write(std::string line) {
  const std::lock_guard lock(*mutex_);
  struct stat before {};
  ::fstat(fd_, &before);
  if (!append_bytes(fd_, line)) {
    const int reason = errno;
    // Without the piece of a line that may have been written.
    if (::ftruncate(fd_, before.st_size) != 0)
      log_warning("[results] {}: ends with a piece of a line", path_.string());
    throw Error(ErrorKind::kMeasurement, "[results] {}: a line can't be written: {}",
                path_.string(), std::strerror(reason));
  }
  if (sync_ == JournalSync::kEachLine) ::fdatasync(fd_);
  if (syncer_) syncer_->dirty = true;
}

void Journal::append(const RequestSample& record) {
  write(line_of("request", request_json(record)));
}

void Journal::append(const PhaseRecord& phase) {
  write(line_of("phase", phase_json(phase)));
}

void Journal::append(const Mark& mark) {
  write(line_of("mark", mark_json(mark)));
}

void Journal::append(const GpuUseRecord& use) {
  write(line_of("gpu_use", gpu_use_json(use)));
}

void Journal::append(const Provenance& provenance) {
  write(line_of("provenance", provenance_json(provenance)));
}

void Journal::append_series(const SeriesRecord& series, bool server) {
  write(line_of(server ? "server" : "telemetry", series_json(series)));
}

void Journal::append_end(RunState state, const std::string& error) {
  write(line_of("end", {{"state", name(state)}, {"error", error}}));
  ::fdatasync(fd_);
}

void Journal::remove() {
  ::unlink(path_.c_str());
}

JournalContent read_journal(std::string_view text, const std::string& source) {
  JournalContent content;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string place = fmt::format("{}:{}", source, number);
    try {
      if (end == std::string_view::npos)
        throw Error(ErrorKind::kUsage, "[results] {}: the line is cut off", place);
      const OrderedJson json = parse_document(text.substr(0, end), place);
      const JsonNode node(json, place + ": ");
      if (number == 1)
        read_head(node, content.run);
      else
        read_line(node, content);
    } catch (const Error&) {
      if (number == 1) throw;
      content.lost = text.size();
      return content;
    }
    text.remove_prefix(end + 1);
  }
  if (content.run.id.empty())
    throw Error(ErrorKind::kUsage, "[results] {}: expected a journal, the file is empty", source);
  return content;
}

std::optional<FileLock> FileLock::try_lock(const fs::path& path) {
  FileLock lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (lock.fd_ < 0 || ::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0 ||
      ::fstat(lock.fd_, &status) != 0 || status.st_nlink == 0)
    return std::nullopt;
  return lock;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace mica
