#include "bench/plan/yaml_reader.h"

#include <algorithm>
#include <map>

#include "base/spelling.h"
#include "checkpoint/hub/names.h"

namespace mica {
namespace {

// A value as messages show it.
std::string shown(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map: return fmt::format("a map of {} keys", node.size());
    case YAML::NodeType::Sequence: return fmt::format("a list of {} values", node.size());
    case YAML::NodeType::Scalar: return "'" + hub::printable(node.Scalar(), 60) + "'";
    default: return "nothing";
  }
}

}  // namespace

YamlValue YamlValue::parse(std::string_view text, const std::string& place) {
  constexpr size_t kMaxBytes = size_t{4} << 20;
  auto file = std::make_shared<File>(File{place});
  if (text.size() > kMaxBytes)
    throw Error(ErrorKind::kUsage, "[yaml] {}: expected at most {} bytes, found {}", place,
                kMaxBytes, text.size());
  try {
    return YamlValue(YAML::Load(std::string(text)), "", 1, std::move(file));
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::kUsage, "[yaml] {}:{}: expected YAML: {}", place, error.mark.line + 1,
                error.msg);
  }
}

YamlValue::YamlValue(YAML::Node node, std::string name, int line, std::shared_ptr<File> file)
    : node_(std::move(node)), name_(std::move(name)), line_(line), file_(std::move(file)) {
  if (--file_->values_left < 0) fail("the file has too many values; are anchors nested?");
}

std::string YamlValue::place() const {
  return fmt::format("{}:{}", file_->place, line_);
}

void YamlValue::fail(const std::string& text) const {
  throw Error(ErrorKind::kUsage, "[yaml] {}: {}{}", place(),
              name_.empty() ? "" : hub::printable(name_, 80) + ": ", text);
}

void YamlValue::expected(const std::string& what) const {
  fail(fmt::format("expected {}, found {}", what, shown(node_)));
}

std::string YamlValue::text() const {
  if (!is_text()) expected("a plain value");
  const std::string& scalar = node_.Scalar();
  if (scalar.find('\0') != scalar.npos) expected("text without NUL characters");
  return scalar;
}

int64_t YamlValue::integer(int64_t low, int64_t high) const {
  int64_t number = 0;
  if (!is_text() || !YAML::convert<int64_t>::decode(node_, number) || number < low || number > high)
    expected(fmt::format("an integer from {} to {}", low, high));
  return number;
}

double YamlValue::number(double low, double high) const {
  double number = 0;
  if (!is_text() || !YAML::convert<double>::decode(node_, number) ||
      !(number >= low && number <= high))
    expected(fmt::format("a number from {} to {}", low, high));
  return number;
}

bool YamlValue::boolean() const {
  bool truth = false;
  if (!is_text() || !YAML::convert<bool>::decode(node_, truth)) expected("true or false");
  return truth;
}

std::string YamlValue::one_of(const std::vector<std::string>& words) const {
  const std::string word = is_text() ? text() : "";
  if (std::find(words.begin(), words.end(), word) != words.end()) return word;
  std::string all;
  for (const std::string& each : words) all += (all.empty() ? "" : ", ") + each;
  fail(fmt::format("expected one of {}; found {}{}", all, shown(node_),
                   is_text() ? meant_instead(word, words) : ""));
}

std::vector<YamlValue> YamlValue::list() const {
  if (!is_list()) expected("a list");
  std::vector<YamlValue> values;
  for (const auto& node : node_) {
    const int line = node.Mark().line < 0 ? line_ : node.Mark().line + 1;
    values.push_back(YamlValue(node, name_, line, file_));
  }
  return values;
}

std::vector<std::string> YamlValue::texts() const {
  if (is_text()) return {text()};
  if (!is_list()) expected("a list of plain values");
  std::vector<std::string> words;
  for (const YamlValue& value : list()) words.push_back(value.text());
  return words;
}

YamlMap YamlValue::map(const std::string& title) const {
  if (!is_map()) expected(fmt::format("the keys of {}", title));
  return YamlMap(*this, title);
}

YamlMap::YamlMap(const YamlValue& value, std::string title)
    : value_(value), title_(std::move(title)) {
  std::map<std::string, std::string> places;
  for (const auto& item : value.node_) {
    const int line = item.first.Mark().line < 0 ? value.line_ : item.first.Mark().line + 1;
    if (!item.first.IsScalar())
      YamlValue(item.first, "", line, value.file_).expected("a plain word as key");
    const std::string& key = item.first.Scalar();
    YamlValue entry(item.second, key, line, value.file_);
    const auto [first, is_new] = places.emplace(key, entry.place());
    if (!is_new) entry.fail("it is there twice; the first is at " + first->second);
    entries_.emplace_back(key, std::move(entry));
  }
}

std::optional<YamlValue> YamlMap::find(const std::string& key) {
  known_.push_back(key);
  for (const auto& entry : entries_)
    if (entry.first == key && !entry.second.is_null()) return entry.second;
  return std::nullopt;
}

YamlValue YamlMap::require(const std::string& key) {
  std::optional<YamlValue> value = find(key);
  if (!value) value_.fail(fmt::format("expected the key '{}' in {}, found none", key, title_));
  return *std::move(value);
}

void YamlMap::finish() const {
  for (const auto& [key, value] : entries_)
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      throw Error(ErrorKind::kUsage, "[yaml] {}: '{}' is no key of {}{}", value.place(),
                  hub::printable(key, 60), title_, meant_instead(key, known_));
}

void YamlMap::read(const std::string& key, std::string& into) {
  if (const auto value = find(key)) into = value->text();
}

void YamlMap::read(const std::string& key, bool& into) {
  if (const auto value = find(key)) into = value->boolean();
}

void YamlMap::read(const std::string& key, std::vector<std::string>& into) {
  if (const auto value = find(key)) into = value->texts();
}

}  // namespace mica
