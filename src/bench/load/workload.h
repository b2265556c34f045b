// What a run sends: conversations of one or more turns, each request with the tokens that it shall
// have. The same workload gives every backend the same work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/client/request_body.h"
#include "bench/load/dataset.h"
#include "bench/load/prompt_maker.h"

namespace mica {

struct WorkloadOptions {
  bool chat = true;             // false: plain text completions
  int64_t input_tokens = 512;   // of the whole prompt, a chat template's tokens included
  int64_t output_tokens = 128;  // exactly so many, where the backend can be told
  double spread = 0;            // lengths vary evenly from (1 - spread) of these to the whole
  int32_t turns = 1;            // of a conversation
  int64_t shared_tokens = 0;    // at the beginning of the prompt, the same within a group
  int32_t shared_groups = 1;    // of conversations with the same beginning
  // Tokens before input_tokens that a request of its own, which is not measured, has sent before,
  // so that a prefix cache has them. Of made prompts of one turn.
  int64_t depth = 0;
  std::string system;                // system prompt of chats
  std::vector<std::string> prompts;  // the user's own, in turn, in place of made ones
  std::vector<std::string> images;   // URLs or data URLs, shown with the first turn
  // Prompts come again, so that prefix caches help. Otherwise each begins with words of its own.
  bool warm_cache = false;
  bool natural = false;  // answers end where the model ends them, at most output_tokens
  uint64_t seed = 0;
};

struct WorkTurn {
  std::string user;
  int64_t input_tokens = -1;  // that the request shall have; -1 = unknown
  int64_t output_tokens = -1;
};

struct Conversation {
  std::string group;  // "prefix 3"; or empty
  std::string system;
  std::string prime;  // sent before the first turn, for one token; empty = nothing is
  std::vector<WorkTurn> turns;
  std::vector<std::string> images;
  std::string expected;  // what an answer has to hold; empty = nothing is known
  bool natural = false;  // WorkloadOptions::natural
  double time = -1;      // of a trace, seconds since its start
};

class Workload {
 public:
  // `text` may be null (PromptMaker); both outlive this. `items`, where not empty, are sent in
  // place of made prompts. Throws Error(kUsage) for options that contradict each other.
  Workload(const WorkloadOptions& options, const TextModel* text,
           std::vector<DatasetItem> items = {});

  // Number `index`, the same each time it is asked. Warm-up asks for indices that the measured
  // part does not, so that it has the same kind of work and other texts.
  Conversation conversation(int64_t index) const;

  // Numbers first, first + 1, …: made before a load, since making one takes up to milliseconds.
  std::vector<Conversation> conversations(int64_t first, int64_t count) const;

  bool chat() const { return options_.chat; }
  bool exact_input() const { return maker_.exact(); }  // input_tokens are counted, not estimated

 private:
  Conversation made(int64_t index) const;
  Conversation recorded(int64_t index) const;
  Conversation given(int64_t index) const;
  int64_t vary(int64_t tokens, int64_t index, uint64_t salt) const;
  std::string own_words(int64_t index) const;
  void make_long(const DatasetItem& item, int64_t index, Conversation& conversation) const;

  const WorkloadOptions options_;
  const PromptMaker maker_;
  const std::vector<DatasetItem> items_;
};

// The request of turn `turn`: its messages so far, with `answers` of the turns before; or, where no
// chat is sent, its text.
RequestContent turn_content(const Conversation& conversation, bool chat, size_t turn,
                            const std::vector<std::string>& answers);

// That of Conversation::prime.
RequestContent prime_content(const Conversation& conversation, bool chat);

// 16 hex digits: equal for the same texts, images and wanted lengths in the same order.
std::string hash_of(const std::vector<Conversation>& conversations);

}  // namespace mica
