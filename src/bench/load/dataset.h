// Recorded requests: what people asked, or how long it was and when it came.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

// A turn: what the user says, and how long the answer was or shall be.
struct DatasetTurn {
  std::string user;
  int64_t output_tokens = -1;  // -1 = the file does not say
  std::string answer;          // that was given; empty = the file has none
};

// One request, or one conversation.
struct DatasetItem {
  double time = -1;    // seconds since the file's first; -1 = no trace
  std::string system;  // the system prompt, or empty
  std::vector<DatasetTurn> turns;
  int64_t input_tokens = -1;           // of a request whose text the file does not have
  std::vector<int64_t> prefix_blocks;  // Mooncake's hash_ids: equal ids are equal text
  std::vector<std::string> images;     // paths or URLs, shown with the first turn

  // Of a long text that is made for the question: this sentence stands at `depth` of it, 0 = at its
  // beginning, 1 = at its end, and it has `input_tokens` with all around it. Empty = no such text.
  std::string fact;
  double depth = 0.5;
  std::string expected;  // what an answer has to hold; empty = nothing is known

  bool has_text() const { return !turns.empty() && !turns.front().user.empty(); }
};

enum class DatasetFormat {
  // An object a line: {"prompt": "…"} or {"messages": [{"role", "content"}, …]}, beside it
  // "system", "images", "output_tokens" (or "max_tokens", "output_len"), and "timestamp" in
  // seconds;
  // or "input_tokens" (or "input_len") for a request without text. With "fact" the prompt is a
  // question at the end of a made text of "input_tokens" (DatasetItem::fact), "depth" from 0 to 1,
  // and "answer" what the answer has to hold.
  kJsonLines,
  kShareGpt,  // [{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", …}, …]}, …]
  kBurstGpt,  // CSV: Timestamp (s), Model, Request tokens, Response tokens, …; failed ones skipped
  kMooncake,  // an object a line: {"timestamp": ms, "input_length", "output_length", "hash_ids"}
};

// By what the text begins with. Throws Error(kUsage) when it is none of them.
DatasetFormat detect_dataset(std::string_view text);

// Items in the file's order; those of a trace in the order of time. `limit`: so many items are
// read, 0 = all. Throws Error(kUsage) with `place` and the line or item.
std::vector<DatasetItem> parse_dataset(std::string_view text, DatasetFormat format,
                                       const std::string& place, size_t limit = 0);
std::vector<DatasetItem> read_dataset(const std::filesystem::path& path, size_t limit = 0);

}  // namespace mica
