#include "bench/eval/eval_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "bench/eval/text_units.h"
#include "bench/results/new_file.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kVersion = 1;

EvalHead read_head(const JsonNode& node) {
  const auto type = node.find("type");
  if (!type || !type->json().is_string() || type->text() != "mica eval")
    node.wrong("the first line of an eval's file");
  if (const JsonNode version = node.at("version"); version.integer() != kVersion)
    version.wrong(fmt::format("version {}", kVersion));
  EvalHead head;
  head.kind = node.at("kind").text();
  head.questions_hash = node.at("questions_hash").text();
  head.model = node.at("model").text();
  node.read("source", head.source);
  node.read("questions", head.questions);
  int64_t shots = 0;
  node.read("shots", shots);
  head.shots = static_cast<int32_t>(shots);
  node.read("system", head.system);
  node.read("max_tokens", head.max_tokens);
  node.read("started", head.started);
  if (const auto fields = node.find("fields"))
    for (const auto& [name, value] : fields->members())
      head.fields.emplace_back(name, dump(value.json()));
  return head;
}

// One spelling of each value.
std::string shown(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string text;
  for (const auto& [name, value] : fields)
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name,
                        dump(parse_document(value, name, "eval")));
  return text.empty() ? "none" : text;
}

}  // namespace

OrderedJson head_json(const EvalHead& head) {
  OrderedJson json = {{"type", "mica eval"},
                      {"version", kVersion},
                      {"kind", head.kind},
                      {"source", head.source},
                      {"questions", head.questions},
                      {"questions_hash", head.questions_hash},
                      {"model", head.model},
                      {"shots", head.shots},
                      {"max_tokens", head.max_tokens}};
  put(json, "system", head.system);
  json["fields"] = OrderedJson::object();
  for (const auto& [name, value] : head.fields)
    json["fields"][name] = parse_document(value, name, "eval");
  put(json, "backend", head.backend);
  put(json, "url", head.url);
  put(json, "started", head.started);
  put(json, "mica_version", head.mica_version);
  return json;
}

std::string difference(const EvalHead& file, const EvalHead& now) {
  const auto other = [](const char* what, const auto& before, const auto& after) {
    return fmt::format("{}: the file has {}, now it is {}", what, before, after);
  };
  if (file.model != now.model) return other("model", file.model, now.model);
  if (file.shots != now.shots) return other("shots", file.shots, now.shots);
  if (file.system != now.system) return "the system message differs";
  if (file.kind != now.kind) return other("kind of questions", file.kind, now.kind);
  if (file.questions_hash != now.questions_hash)
    return other("questions", fmt::format("{} of {}", file.questions, file.source),
                 fmt::format("{} of {}, and they differ", now.questions, now.source));
  if (file.max_tokens != now.max_tokens)
    return other("tokens of an answer", file.max_tokens, now.max_tokens);
  if (const std::string before = shown(file.fields), after = shown(now.fields); before != after)
    return other("fields of requests", before, after);
  return "";
}

EvalFile::EvalFile(fs::path path, const EvalHead& head) : path_(std::move(path)) {
  if (path_.has_parent_path()) {
    std::error_code ignored;
    fs::create_directories(path_.parent_path(), ignored);
  }
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0)
    throw Error(ErrorKind::kUsage, "[eval] {}: can't be written: {}", path_.string(),
                std::strerror(errno));
  try {
    auto lock = FileLock::try_lock(path_);
    if (!lock)
      throw Error(ErrorKind::kUsage, "[eval] {}: another process writes this file", path_.string());
    lock_.emplace(std::move(*lock));
    read(head);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

EvalFile::~EvalFile() {
  ::close(fd_);
}

void EvalFile::read(const EvalHead& head) {
  const std::string text = read_text_file(path_);
  const size_t whole = text.rfind('\n') + 1;  // 0 when there is none
  if (whole < text.size()) {
    log_warning("[eval] {}: an unfinished line of {} bytes is cut off", path_.string(),
                text.size() - whole);
    if (::ftruncate(fd_, static_cast<off_t>(whole)) != 0)
      throw Error(ErrorKind::kUsage, "[eval] {}: can't be shortened: {}", path_.string(),
                  std::strerror(errno));
  }
  started_ = head.started;
  if (whole == 0) return write(head_json(head));

  std::unordered_map<std::string, size_t> places;  // by question, of records_
  size_t number = 0;
  for (const std::string_view line : lines_of(std::string_view(text).substr(0, whole - 1))) {
    const std::string place = fmt::format("{}:{}", path_.filename().string(), ++number);
    const OrderedJson json = parse_document(line, place, "eval");
    const JsonNode node(json, place, "eval");
    if (number == 1) {
      const EvalHead first = read_head(node);
      started_ = first.started;
      if (const std::string other = difference(first, head); !other.empty())
        throw Error(ErrorKind::kUsage,
                    "[eval] {}: belongs to another eval: {}; give another --output, or remove the "
                    "file",
                    path_.string(), other);
      continue;
    }
    EvalRecord record = read_record(node);
    const auto [place_of, is_new] = places.emplace(record.id, records_.size());
    if (is_new)
      records_.push_back(std::move(record));
    else
      records_[place_of->second] = std::move(record);
  }
}

void EvalFile::write(const OrderedJson& line) {
  struct stat before {};
  ::fstat(fd_, &before);
  if (append_bytes(fd_, dump(line) + "\n")) return;
  const int reason = errno;
  if (::ftruncate(fd_, before.st_size) != 0)
    log_warning("[eval] {}: ends with a piece of a line", path_.string());
  throw Error(ErrorKind::kMeasurement, "[eval] {}: a line can't be written: {}", path_.string(),
              std::strerror(reason));
}

void EvalFile::append(const EvalRecord& record) {
  write(record_json(record));
}

void EvalFile::sync() {
  ::fdatasync(fd_);
}

}  // namespace mica
