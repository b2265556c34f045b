#include "bench/launch/known_failures.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "bench/launch/known_failures_data.h"

namespace mica {
namespace {

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

// Both in lower case. The pieces between '*' in order, anywhere in the line.
bool has_pieces(std::string_view line, std::string_view pattern) {
  while (!pattern.empty()) {
    const size_t end = std::min(pattern.find('*'), pattern.size());
    const std::string_view piece = pattern.substr(0, end);
    const size_t found = line.find(piece);
    if (found == std::string_view::npos) return false;
    line.remove_prefix(found + piece.size());
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
  }
  return true;
}

bool matches_lower(const KnownFailure& failure, std::string_view line) {
  return std::any_of(failure.patterns.begin(), failure.patterns.end(),
                     [&](const std::string& pattern) { return has_pieces(line, pattern); });
}

ErrorKind kind_of(const std::string& text) {
  if (text == "device") return ErrorKind::kDevice;
  if (text == "memory") return ErrorKind::kOutOfMemory;
  if (text == "backend") return ErrorKind::kBackend;
  throw Error(ErrorKind::kUsage, "kind: expected device, memory or backend, found '{}'", text);
}

void set_field(KnownFailure& failure, const std::string& key, const YAML::Node& value) {
  if (key == "id") return void(failure.id = value.as<std::string>());
  if (key == "kind") return void(failure.kind = kind_of(value.as<std::string>()));
  if (key == "meaning") return void(failure.meaning = value.as<std::string>());
  if (key == "advice") return void(failure.advice = value.as<std::string>());
  if (key == "backends") return void(failure.backends = value.as<std::vector<std::string>>());
  if (key != "match")
    throw Error(ErrorKind::kUsage,
                "unknown key '{}'; expected id, kind, backends, match, meaning, advice", key);
  for (const auto& pattern : value.as<std::vector<std::string>>())
    failure.patterns.push_back(lower(pattern));
}

KnownFailure parse_one(const YAML::Node& node) {
  KnownFailure failure;
  if (!node.IsMap()) throw Error(ErrorKind::kUsage, "expected a map");
  for (const auto& entry : node) set_field(failure, entry.first.as<std::string>(), entry.second);
  const auto& patterns = failure.patterns;
  const bool blank = std::any_of(patterns.begin(), patterns.end(), [](const std::string& pattern) {
    return pattern.find_first_not_of("* ") == std::string::npos;
  });
  if (failure.id.empty() || failure.meaning.empty() || failure.advice.empty() || patterns.empty() ||
      blank)
    throw Error(ErrorKind::kUsage, "entry '{}': id, match, meaning and advice must not be empty",
                failure.id);
  return failure;
}

}  // namespace

std::vector<KnownFailure> parse_known_failures(const std::string& yaml, const std::string& file) {
  int line = 0;
  try {
    std::vector<KnownFailure> failures;
    for (const YAML::Node& node : YAML::Load(yaml)) {
      line = node.Mark().line + 1;
      failures.push_back(parse_one(node));
    }
    return failures;
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::kUsage, "[launch] {}:{}: {}", file, error.mark.line + 1, error.msg);
  } catch (const Error& error) {
    throw Error(ErrorKind::kUsage, "[launch] {}:{}: {}", file, line, error.what());
  }
}

const std::vector<KnownFailure>& known_failures() {
  static const std::vector<KnownFailure> failures =
      parse_known_failures(kKnownFailuresYaml, "config/known_failures.yaml");
  return failures;
}

bool matches(const KnownFailure& failure, std::string_view line) {
  return matches_lower(failure, lower(line));
}

FailureWatch::FailureWatch(const std::string& backend, const std::vector<KnownFailure>& failures) {
  for (const KnownFailure& failure : failures) {
    const auto& only = failure.backends;
    if (only.empty() || std::find(only.begin(), only.end(), backend) != only.end())
      candidates_.push_back(&failure);
  }
  lines_.resize(candidates_.size());
}

void FailureWatch::look(std::string_view line) {
  const std::string text = lower(line);
  for (size_t i = 0; i < candidates_.size(); ++i)
    if (lines_[i].empty() && matches_lower(*candidates_[i], text)) lines_[i] = line;
}

std::optional<RecognisedFailure> FailureWatch::best() const {
  for (size_t i = 0; i < candidates_.size(); ++i)
    if (!lines_[i].empty()) return RecognisedFailure{candidates_[i], lines_[i]};
  return std::nullopt;
}

bool FailureWatch::is_compiling(std::string_view line) {
  static constexpr const char* kSigns[] = {
      "torch.compile takes", "compiling",        "capturing cuda graph",
      "capture cuda graph",  "autotuning",       "nvrtc",
      "deepgemm jit",        "warm up deepgemm", "building engine",
      "building extension",  "jit compil",       "graph captur"};
  const std::string text = lower(line);
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [&](const char* sign) { return text.find(sign) != std::string::npos; });
}

}  // namespace mica
