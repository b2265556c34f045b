#include "bench/run/workload_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/hub/digest.h"

namespace mica {
namespace {

class Texts {
 public:
  explicit Texts(bool hidden) : hidden_(hidden) {}

  void add(const std::string& text, const char* role = "") {
    PromptRecord prompt{"", hub::sha256(text), text.size(), role};
    if (!hidden_) {
      const bool whole = text.size() <= left_;
      prompt.text = whole ? text : text.substr(0, whole_characters(text, kKeptPart));
      left_ -= whole ? text.size() : 0;
    }
    all_.push_back(std::move(prompt));
  }
  std::vector<PromptRecord> take() { return std::move(all_); }

 private:
  // At most `most` bytes that end with a character's end.
  static size_t whole_characters(const std::string& text, size_t most) {
    if (text.size() <= most) return text.size();
    while (most > 0 && (static_cast<uint8_t>(text[most]) & 0xC0) == 0x80) --most;
    return most;
  }

  const bool hidden_;
  size_t left_ = kKeptTexts;
  std::vector<PromptRecord> all_;
};

std::vector<PromptRecord> texts_of(const std::vector<Conversation>& conversations, bool hidden) {
  Texts texts(hidden);
  std::string system;
  for (const Conversation& conversation : conversations) {
    if (conversation.system != system) texts.add(conversation.system, "system");
    system = conversation.system;
    for (const WorkTurn& turn : conversation.turns) texts.add(turn.user);
  }
  return texts.take();
}

// What makes the same texts again.
std::vector<std::pair<std::string, std::string>> generator(const WorkloadOptions& options,
                                                           bool lengths) {
  std::vector<std::pair<std::string, std::string>> out = {{"prompts", "made from the seed"}};
  const auto add = [&](const char* name, auto value) {
    out.emplace_back(name, fmt::format("{}", value));
  };
  if (lengths) {
    add("input_tokens", options.input_tokens);
    add("output_tokens", options.output_tokens);
  }
  if (options.depth > 0) add("depth", options.depth);
  add("spread", options.spread);
  add("turns", options.turns);
  add("shared_tokens", options.shared_tokens);
  add("shared_groups", options.shared_groups);
  add("chat", options.chat);
  return out;
}

}  // namespace

bool has_texts(const BenchPoint& point) {
  return !point.workload.prompts.empty() ||
         (point.items && std::ranges::any_of(*point.items, &DatasetItem::has_text));
}

WorkloadRecord workload_record(const BenchPoint& point, const PlanDialect& dialect,
                               const std::vector<Conversation>& conversations, bool private_texts) {
  const WorkloadOptions& options = point.workload;
  WorkloadRecord out;
  out.name = point.workload_name();
  out.arrivals = to_string(point.arrivals);
  const bool shared = options.turns > 1 || options.shared_tokens > 0 || options.depth > 0;
  out.cache = options.warm_cache ? "warm" : shared ? "shared" : "cold";
  out.requests = point.conversations();
  const bool equal = options.spread == 0 && !point.items;
  if (equal) {
    out.input_tokens = options.prompts.empty() ? options.depth + options.input_tokens : 0;
    out.output_tokens = options.output_tokens;
  }
  out.exact_output = !options.natural && (dialect.ignore_eos || dialect.min_tokens);
  out.seed = options.seed;
  out.prompts_hash = hash_of(conversations);
  out.is_private = private_texts;
  const bool texts = has_texts(point);
  if (texts)
    out.prompts = texts_of(conversations, private_texts);
  else
    out.more = generator(options, !point.items);
  if (!texts && !options.system.empty())
    out.prompts = texts_of({{.system = options.system}}, private_texts);
  for (const Picture& picture : point.pictures)
    out.pictures.push_back({private_texts ? "" : picture.name, picture.sha256, picture.bytes});
  return out;
}

RequestSample without_texts(RequestSample sample) {
  for (std::string* text : {&sample.answer, &sample.reasoning, &sample.tool_calls})
    if (!text->empty())
      *text = fmt::format("sha256:{}, {} bytes", hub::sha256(*text), text->size());
  if (!sample.error.empty()) sample.error = name(sample.status);
  sample.body.clear();
  return sample;
}

}  // namespace mica
