#include "bench/load/workload.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/mix.h"
#include "bench/load/prompt_sets.h"

namespace mica {
namespace {

// What a key is made for: different salts give unrelated numbers.
enum Salt : uint64_t { kText = 1, kShared, kInput, kOutput, kOwnWords, kLaterTurn, kPrefix };

uint64_t key_of(uint64_t seed, Salt salt, uint64_t index) {
  return mix64(random_word(seed, salt) + index * 0x9e3779b97f4a7c15u);
}

constexpr int64_t kOwnWordsCount = 6;

// Warm-up's indices are negative.
size_t wrap(int64_t index, size_t count) {
  const auto size = static_cast<int64_t>(count);
  return static_cast<size_t>((index % size + size) % size);
}

void check(const WorkloadOptions& o, const std::vector<DatasetItem>& items) {
  const auto wrong = [](const char* what, auto found, const char* expected) {
    throw Error(ErrorKind::kUsage, "workload: {}: expected {}, found {}", what, expected, found);
  };
  if (o.input_tokens < 1) wrong("input tokens", o.input_tokens, "at least 1");
  if (o.output_tokens < 1) wrong("output tokens", o.output_tokens, "at least 1");
  if (!(o.spread >= 0) || o.spread >= 1) wrong("spread", o.spread, "a number from 0 to below 1");
  if (o.turns < 1) wrong("turns", o.turns, "at least 1");
  if (o.turns > 1 && !o.chat) wrong("turns", o.turns, "1 where no chat is sent");
  if (o.shared_groups < 1) wrong("groups of a shared prefix", o.shared_groups, "at least 1");
  if (o.shared_tokens >= o.input_tokens)
    wrong("shared prefix", o.shared_tokens, "fewer tokens than the prompt has");
  if (o.shared_tokens > 0 && !o.prompts.empty())
    wrong("shared prefix", o.shared_tokens, "none beside prompts of your own");
  if (o.depth < 0) wrong("depth", o.depth, "at least 0");
  const bool others = !o.prompts.empty() || !items.empty() || o.turns > 1 || o.shared_tokens > 0;
  if (o.depth > 0 && others)
    wrong("depth", o.depth, "none beside other prompts than made ones of one turn");
  const bool pictures = !o.images.empty() || std::ranges::any_of(items, [](const DatasetItem& i) {
    return !i.images.empty();
  });
  if (pictures && !o.chat)
    wrong("pictures", "some with plain completions", "none, as only chats have pictures");
}

}  // namespace

Workload::Workload(const WorkloadOptions& options, const TextModel* text,
                   std::vector<DatasetItem> items)
    : options_(options), maker_(text), items_(std::move(items)) {
  check(options_, items_);
}

int64_t Workload::vary(int64_t tokens, int64_t index, uint64_t salt) const {
  const double least =
      std::max(1.0, std::ceil(static_cast<double>(tokens) * (1 - options_.spread)));
  const auto choices = static_cast<uint64_t>(tokens - static_cast<int64_t>(least) + 1);
  const uint64_t key = key_of(options_.seed, static_cast<Salt>(salt), static_cast<uint64_t>(index));
  return static_cast<int64_t>(least) + static_cast<int64_t>(key % choices);
}

std::string Workload::own_words(int64_t index) const {
  if (options_.warm_cache) return "";
  return PromptMaker(nullptr).text(kOwnWordsCount,
                                   key_of(options_.seed, kOwnWords, static_cast<uint64_t>(index))) +
         ".\n\n";
}

Conversation Workload::conversation(int64_t index) const {
  Conversation conversation = !items_.empty()             ? recorded(index)
                              : !options_.prompts.empty() ? given(index)
                                                          : made(index);
  if (conversation.images.empty()) conversation.images = options_.images;
  conversation.natural = options_.natural;
  return conversation;
}

std::vector<Conversation> Workload::conversations(int64_t first, int64_t count) const {
  std::vector<Conversation> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(conversation(first + i));
  return out;
}

// Prompts of the user's own. Each begins with other words, unless the cache shall be warm.
Conversation Workload::given(int64_t index) const {
  Conversation conversation;
  conversation.system = options_.system;
  WorkTurn& turn = conversation.turns.emplace_back();
  turn.user = own_words(index) + options_.prompts[wrap(index, options_.prompts.size())];
  turn.output_tokens = options_.output_tokens;
  return conversation;
}

Conversation Workload::made(int64_t index) const {
  const auto number = static_cast<uint64_t>(options_.warm_cache ? 0 : index);
  Conversation conversation;
  conversation.system = options_.system;
  const int64_t input = vary(options_.input_tokens, options_.warm_cache ? 0 : index, kInput);
  std::string shared;
  if (options_.shared_tokens > 0) {
    const uint64_t group = wrap(index, static_cast<size_t>(options_.shared_groups));
    conversation.group = fmt::format("prefix {}", group);
    shared = maker_.text(options_.shared_tokens, key_of(options_.seed, kShared, group)) + "\n\n";
  }
  if (options_.depth > 0) {
    shared = maker_.text(options_.depth, key_of(options_.seed, kPrefix, number)) + "\n\n";
    conversation.prime = shared;
  }
  const uint64_t key = key_of(options_.seed, kText, number);
  WorkTurn& first = conversation.turns.emplace_back();
  first.input_tokens = options_.depth + input;
  first.user = options_.chat ? maker_.user_text(first.input_tokens, key, options_.system, shared)
                             : maker_.text(first.input_tokens, key, shared);
  for (int32_t t = 1; t < options_.turns; ++t) {
    const uint64_t turn_key = key_of(key, kLaterTurn, static_cast<uint64_t>(t));
    conversation.turns.push_back({.user = maker_.text(std::max<int64_t>(1, input / 4), turn_key)});
  }
  for (size_t t = 0; t < conversation.turns.size(); ++t)
    conversation.turns[t].output_tokens =
        vary(options_.output_tokens, index + static_cast<int64_t>(t) * 0x10001, kOutput);
  return conversation;
}

Conversation Workload::recorded(int64_t index) const {
  const DatasetItem& item = items_[wrap(index, items_.size())];
  Conversation conversation;
  conversation.time = item.time;
  conversation.system = item.system.empty() ? options_.system : item.system;
  conversation.images = item.images;
  for (const DatasetTurn& turn : item.turns) {
    WorkTurn& out = conversation.turns.emplace_back();
    out.user = turn.user;
    out.output_tokens = turn.output_tokens > 0 ? turn.output_tokens : options_.output_tokens;
    if (!options_.chat) break;
  }
  conversation.expected = item.expected;
  WorkTurn& first = conversation.turns.front();
  if (!item.fact.empty()) {
    make_long(item, index, conversation);
    return conversation;
  }
  if (item.has_text()) {
    first.user = own_words(index) + first.user;
    return conversation;
  }
  // The file knows the length alone. Equal leading blocks of Mooncake's traces are equal text.
  const uint64_t key = key_of(options_.seed, kText, static_cast<uint64_t>(index));
  first.input_tokens = std::max<int64_t>(1, item.input_tokens);
  std::string shared;
  constexpr int64_t kBlock = 512;  // tokens of a hash id
  int64_t left = first.input_tokens - kBlock;
  for (const int64_t id : item.prefix_blocks) {
    if (left < 0) break;
    shared +=
        maker_.text(kBlock - 4, key_of(options_.seed, kShared, static_cast<uint64_t>(id))) + "\n";
    left -= kBlock;
  }
  first.user = options_.chat
                   ? maker_.user_text(first.input_tokens, key, conversation.system, shared)
                   : maker_.text(first.input_tokens, key, shared);
  return conversation;
}

// Sentences around the fact, then the question; at most as long as wanted, and by less than a
// sentence or two shorter.
void Workload::make_long(const DatasetItem& item, int64_t index, Conversation& conversation) const {
  const uint64_t key =
      key_of(options_.seed, kText, static_cast<uint64_t>(options_.warm_cache ? 0 : index));
  const auto text_of = [&](int64_t sentences) {
    const auto place = static_cast<int64_t>(item.depth * static_cast<double>(sentences));
    std::string text = own_words(index);
    for (int64_t i = 0; i <= sentences; ++i) {
      if (i == place) text += item.fact + " ";
      if (i < sentences) text += harbour_sentence(key, static_cast<uint64_t>(i));
      text += i % 8 == 7 ? "\n\n" : " ";
    }
    return text + "\n\n" + item.turns.front().user;
  };
  const auto count = [&](const std::string& text) {
    return options_.chat && maker_.exact() ? maker_.rendered_tokens(text, conversation.system)
                                           : maker_.tokens(text);
  };
  const int64_t least = count(text_of(0)), some = 64;
  const double each = static_cast<double>(count(text_of(some)) - least) / some;
  const auto sentences_in = [each](int64_t tokens) {
    return static_cast<int64_t>(std::floor(static_cast<double>(tokens) / each));
  };
  if (least > item.input_tokens)
    throw Error(ErrorKind::kUsage,
                "[prompts] expected a long text of {} tokens; the question alone has {}",
                item.input_tokens, least);
  WorkTurn& turn = conversation.turns.front();
  int64_t sentences = sentences_in(item.input_tokens - least), found = 0;
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    turn.user = text_of(sentences);
    found = count(turn.user);
    const int64_t more = sentences_in(item.input_tokens - found);
    if (more == 0) break;
    sentences = std::max<int64_t>(0, sentences + more);
  }
  if (maker_.exact()) turn.input_tokens = found;
}

RequestContent turn_content(const Conversation& conversation, bool chat, size_t turn,
                            const std::vector<std::string>& answers) {
  MICA_CHECK(turn < conversation.turns.size() && answers.size() >= turn);
  RequestContent content;
  content.max_tokens = conversation.turns[turn].output_tokens;
  content.exact_length = !conversation.natural;
  if (!chat) {
    content.prompt = conversation.turns[turn].user;
    return content;
  }
  if (!conversation.system.empty())
    content.messages.push_back({"system", {{.text = conversation.system}}});
  for (size_t t = 0; t <= turn; ++t) {
    ChatMessage& user = content.messages.emplace_back();
    user.role = "user";
    // The words of its own come first: behind a picture that all show, a prefix cache has it.
    user.parts.push_back({.text = conversation.turns[t].user});
    if (t == 0)
      for (const std::string& image : conversation.images)
        user.parts.push_back({.image_url = image});
    if (t < turn) content.messages.push_back({"assistant", {{.text = answers[t]}}});
  }
  return content;
}

RequestContent prime_content(const Conversation& conversation, bool chat) {
  Conversation prime = conversation;
  prime.turns = {{.user = conversation.prime, .output_tokens = 1}};
  return turn_content(prime, chat, 0, {});
}

std::string hash_of(const std::vector<Conversation>& conversations) {
  uint64_t hash = 0;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = mix64(hash ^ static_cast<uint8_t>(c)) + text.size();
    hash = mix64(hash + 0x9e3779b97f4a7c15u);
  };
  for (const Conversation& conversation : conversations) {
    add(conversation.system);
    for (const std::string& image : conversation.images) add(image);
    for (const WorkTurn& turn : conversation.turns) {
      add(turn.user);
      add(std::to_string(turn.output_tokens));
    }
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace mica
