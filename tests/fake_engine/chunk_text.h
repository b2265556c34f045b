// The JSON of answers as each dialect writes it.
#pragma once

#include <span>
#include <string>

#include "fake_engine/asked.h"

namespace mica::fake {

struct UsageCounts {
  int64_t prompt = 0, completion = 0, reasoning = 0;
  int64_t cached = -1;  // -1: not reported
  double prefill_ms = 0, decode_ms = 0;
};

class ChunkText {
 public:
  ChunkText(const Script& script, const Asked& asked);

  std::string role() const;
  // Tokens of one part. `first`: the first ones of a tool call name it.
  std::string tokens(std::span<const Token> tokens, bool first) const;
  // The end; llama.cpp and SGLang count in it.
  std::string finish(const std::string& reason, const UsageCounts& counts) const;
  std::string usage(const UsageCounts& counts) const;
  std::string error(const std::string& message) const;
  std::string whole(std::span<const Token> tokens, const std::string& reason,
                    const UsageCounts& counts) const;

 private:
  std::string chunk(const std::string& delta, const std::string& reason,
                    const std::string& more = "") const;
  std::string timings(const UsageCounts& counts) const;
  std::string usage_json(const UsageCounts& counts) const;

  const Script& script_;
  const Asked& asked_;
  std::string head_;  // {"id":…,"model":…
};

}  // namespace mica::fake
