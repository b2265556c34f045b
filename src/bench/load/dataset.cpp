#include "bench/load/dataset.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <optional>

#include "base/error.h"
#include "base/file.h"

namespace mica {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr int64_t kMostTokens = 100'000'000;

// An object of the file and where it stands, for messages.
class Entry {
 public:
  Entry(element value, std::string place) : value_(value), place_(std::move(place)) {
    if (value.get(object_) != simdjson::SUCCESS) fail("an object", value);
  }

  std::optional<element> find(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      element value;
      if (object_.at_key(name).get(value) == simdjson::SUCCESS && !value.is_null()) return value;
    }
    return std::nullopt;
  }

  std::string text(std::initializer_list<const char*> names) const {
    const auto value = find(names);
    if (!value) return "";
    std::string_view text;
    if (value->get(text) != simdjson::SUCCESS)
      fail(fmt::format("a text in '{}'", *names.begin()), *value);
    return std::string(text);
  }

  double number(std::initializer_list<const char*> names, double most, double missing) const {
    const auto value = find(names);
    if (!value) return missing;
    double number = 0;
    if (value->get(number) != simdjson::SUCCESS || !(number >= 0) || number > most)
      fail(fmt::format("a number from 0 to {} in '{}'", most, *names.begin()), *value);
    return number;
  }

  int64_t tokens(std::initializer_list<const char*> names) const {
    return static_cast<int64_t>(number(names, kMostTokens, -1));
  }

  template <typename Visit>
  void each(std::initializer_list<const char*> names, Visit visit) const {
    const auto value = find(names);
    if (!value) return;
    array items;
    if (value->get(items) != simdjson::SUCCESS)
      fail(fmt::format("a list in '{}'", *names.begin()), *value);
    for (const element item : items) visit(item);
  }

  const std::string& place() const { return place_; }

  [[noreturn]] void fail(const std::string& expected, element found) const {
    throw Error(ErrorKind::kUsage, "[dataset] {}: expected {}, found {}", place_, expected,
                std::string(simdjson::minify(found)).substr(0, 60));
  }
  [[noreturn]] void fail(const std::string& expected) const { fail(expected, value_); }

 private:
  element value_;
  object object_;
  std::string place_;
};

// Speakers of a conversation, in the words of its makers.
enum class Speaker { kSystem, kUser, kModel, kOther };

Speaker speaker_of(const std::string& name) {
  if (name == "system") return Speaker::kSystem;
  if (name == "user" || name == "human") return Speaker::kUser;
  if (name == "assistant" || name == "gpt" || name == "chatgpt" || name == "bing" || name == "bard")
    return Speaker::kModel;
  return Speaker::kOther;
}

// Consecutive messages of one speaker are joined; an answer before the first question is dropped.
void add_message(DatasetItem& item, Speaker speaker, const std::string& text) {
  switch (speaker) {
    case Speaker::kSystem: item.system += (item.system.empty() ? "" : "\n") + text; break;
    case Speaker::kUser:
      if (!item.turns.empty() && item.turns.back().answer.empty())
        item.turns.back().user += "\n" + text;
      else
        item.turns.emplace_back().user = text;
      break;
    case Speaker::kModel:
      if (!item.turns.empty()) item.turns.back().answer += text;
      break;
    case Speaker::kOther: break;
  }
}

void read_messages(const Entry& entry, std::initializer_list<const char*> list, DatasetItem& item) {
  size_t index = 0;
  entry.each(list, [&](element value) {
    const Entry message(value, fmt::format("{}, message {}", entry.place(), index++));
    const std::string speaker = message.text({"role", "from"});
    add_message(item, speaker_of(speaker), message.text({"content", "value"}));
  });
}

DatasetItem json_lines_item(const Entry& entry) {
  DatasetItem item;
  item.time = entry.number({"timestamp"}, 1e12, -1);
  item.input_tokens = entry.tokens({"input_tokens", "input_len"});
  item.system = entry.text({"system"});
  if (const std::string prompt = entry.text({"prompt"}); !prompt.empty())
    item.turns.emplace_back().user = prompt;
  read_messages(entry, {"messages"}, item);
  entry.each({"images"}, [&](element value) {
    std::string_view image;
    if (value.get(image) != simdjson::SUCCESS) entry.fail("texts in 'images'", value);
    item.images.emplace_back(image);
  });
  item.fact = entry.text({"fact"});
  item.depth = entry.number({"depth"}, 1, 0.5);
  item.expected = entry.text({"answer"});
  if (!item.fact.empty() && (!item.has_text() || item.input_tokens < 0))
    entry.fail("'prompt' and 'input_tokens' beside 'fact'");
  const bool empty = !item.has_text() && item.input_tokens < 0;
  if (empty) entry.fail("'prompt', 'messages' with one of a user, or 'input_tokens'");
  if (item.turns.empty()) item.turns.emplace_back();
  item.turns.back().output_tokens = entry.tokens({"output_tokens", "max_tokens", "output_len"});
  return item;
}

DatasetItem mooncake_item(const Entry& entry) {
  DatasetItem item;
  item.time = entry.number({"timestamp"}, 1e15, 0) / 1000;
  item.input_tokens = entry.tokens({"input_length"});
  if (item.input_tokens < 0) entry.fail("'input_length'");
  item.turns.emplace_back().output_tokens = entry.tokens({"output_length"});
  entry.each({"hash_ids"}, [&](element value) {
    int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS) entry.fail("integers in 'hash_ids'", value);
    item.prefix_blocks.push_back(id);
  });
  return item;
}

element parse_json(simdjson::dom::parser& parser, std::string_view text, const std::string& place) {
  element value;
  if (const auto error = parser.parse(text.data(), text.size()).get(value))
    throw Error(ErrorKind::kUsage, "[dataset] {}: expected JSON, found none: {}", place,
                simdjson::error_message(error));
  return value;
}

// visit(line, number from 1) for each that is not blank, until it says false.
template <typename Visit>
void each_line(std::string_view text, Visit visit) {
  for (size_t begin = 0, number = 1; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    begin = end + 1;
    if (line.find_first_not_of(" \t") != std::string_view::npos && !visit(line, number)) return;
  }
}

using Items = std::vector<DatasetItem>;

void read_lines(std::string_view text, DatasetFormat format, const std::string& place, size_t limit,
                Items& items) {
  simdjson::dom::parser parser;
  each_line(text, [&](std::string_view line, size_t number) {
    const std::string where = fmt::format("{}:{}", place, number);
    const Entry entry(parse_json(parser, line, where), where);
    items.push_back(format == DatasetFormat::kMooncake ? mooncake_item(entry)
                                                       : json_lines_item(entry));
    return items.size() != limit;
  });
}

// Conversations without a question are skipped, as everybody does who uses this data.
void read_share_gpt(std::string_view text, const std::string& place, size_t limit, Items& items) {
  simdjson::dom::parser parser;
  array list;
  if (parse_json(parser, text, place).get(list) != simdjson::SUCCESS)
    throw Error(ErrorKind::kUsage, "[dataset] {}: expected a list of conversations", place);
  size_t index = 0;
  for (const element value : list) {
    const Entry entry(value, fmt::format("{}, item {}", place, index++));
    DatasetItem item;
    read_messages(entry, {"conversations", "conversation", "messages"}, item);
    if (item.has_text()) items.push_back(std::move(item));
    if (limit != 0 && items.size() == limit) return;
  }
}

// Text between commas; quoted fields do not occur in these files.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
    fields.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return fields;
}

double csv_number(std::string_view text, double most, const std::string& where, const char* name) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0) || value > most)
    throw Error(ErrorKind::kUsage, "[dataset] {}: column '{}': expected a number, found '{}'",
                where, name, text.substr(0, 60));
  return value;
}

void read_burst_gpt(std::string_view text, const std::string& place, size_t limit, Items& items) {
  constexpr const char* kNames[] = {"Timestamp", "Request tokens", "Response tokens"};
  size_t columns[3] = {};
  bool head = true;
  each_line(text, [&](std::string_view line, size_t number) {
    const std::string where = fmt::format("{}:{}", place, number);
    const std::vector<std::string_view> fields = fields_of(line);
    if (head) {
      for (size_t c = 0; c < 3; ++c) {
        const auto at = std::find(fields.begin(), fields.end(), kNames[c]);
        if (at == fields.end())
          throw Error(ErrorKind::kUsage, "[dataset] {}: expected a column '{}', found '{}'", where,
                      kNames[c], line.substr(0, 80));
        columns[c] = static_cast<size_t>(at - fields.begin());
      }
      head = false;
      return true;
    }
    double values[3];
    for (size_t c = 0; c < 3; ++c) {
      if (columns[c] >= fields.size())
        throw Error(ErrorKind::kUsage, "[dataset] {}: expected column '{}', the line has only {}",
                    where, kNames[c], fields.size());
      values[c] = csv_number(fields[columns[c]], c == 0 ? 1e12 : kMostTokens, where, kNames[c]);
    }
    if (values[2] == 0) return true;  // it failed
    DatasetItem& item = items.emplace_back();
    item.time = values[0];
    item.input_tokens = static_cast<int64_t>(values[1]);
    item.turns.emplace_back().output_tokens = static_cast<int64_t>(values[2]);
    return items.size() != limit;
  });
}

void order_by_time(Items& items) {
  const bool trace = std::any_of(items.begin(), items.end(),
                                 [](const DatasetItem& item) { return item.time >= 0; });
  if (!trace) return;
  for (size_t i = 0; i < items.size(); ++i)
    if (items[i].time < 0)
      throw Error(ErrorKind::kUsage,
                  "[dataset] item {} has no timestamp while others have one; a trace needs all", i);
  std::stable_sort(items.begin(), items.end(),
                   [](const DatasetItem& a, const DatasetItem& b) { return a.time < b.time; });
  const double first = items.front().time;
  for (DatasetItem& item : items) item.time -= first;
}

}  // namespace

DatasetFormat detect_dataset(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos) {
    const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
    if (text[begin] == '[') return DatasetFormat::kShareGpt;
    if (text[begin] == '{')
      return line.find("\"input_length\"") != std::string_view::npos ? DatasetFormat::kMooncake
                                                                     : DatasetFormat::kJsonLines;
    if (line.find("Request tokens") != std::string_view::npos) return DatasetFormat::kBurstGpt;
  }
  throw Error(ErrorKind::kUsage,
              "[dataset] expected lines of JSON, a list of conversations (ShareGPT) or a CSV file "
              "with a column 'Request tokens' (BurstGPT), found '{}'",
              text.substr(0, 40));
}

std::vector<DatasetItem> parse_dataset(std::string_view text, DatasetFormat format,
                                       const std::string& place, size_t limit) {
  Items items;
  switch (format) {
    case DatasetFormat::kJsonLines:
    case DatasetFormat::kMooncake: read_lines(text, format, place, limit, items); break;
    case DatasetFormat::kShareGpt: read_share_gpt(text, place, limit, items); break;
    case DatasetFormat::kBurstGpt: read_burst_gpt(text, place, limit, items); break;
  }
  if (items.empty())
    throw Error(ErrorKind::kUsage, "[dataset] {}: expected requests, found none", place);
  order_by_time(items);
  return items;
}

std::vector<DatasetItem> read_dataset(const std::filesystem::path& path, size_t limit) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  return parse_dataset(text, detect_dataset(text), path.filename().string(), limit);
}

}  // namespace mica
