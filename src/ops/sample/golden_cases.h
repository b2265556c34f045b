// tests/golden/sampling/filters.txt: what mlx-lm's filters leave, for tests of the operation.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "ops/sample/sample.h"
#include "test_data.h"

namespace mica {

struct GoldenCase {
  std::string name;
  std::vector<float> logits, logprobs;
  std::vector<int32_t> history, survivors;
  SamplingParams params;
};

template <typename T>
std::vector<T> read_values(std::istream& in, const std::string& key) {
  std::string found;
  size_t count = 0;
  in >> found >> count;
  EXPECT_EQ(found, key);
  std::vector<T> values(count);
  for (T& value : values) in >> value;
  return values;
}

inline std::vector<GoldenCase> golden_cases() {
  std::ifstream in(source_path("tests/golden/sampling/filters.txt"));
  std::vector<GoldenCase> cases;
  std::string word, name;
  while (in >> word >> name) {
    GoldenCase c{.name = name};
    c.logits = read_values<float>(in, "logits");
    c.history = read_values<int32_t>(in, "history");
    const auto bias = read_values<float>(in, "bias");
    for (size_t i = 0; i + 1 < bias.size(); i += 2)
      c.params.logit_bias.emplace_back(static_cast<int32_t>(bias[i]), bias[i + 1]);
    c.params.xtc_special_tokens = read_values<int32_t>(in, "special");
    const auto s = read_values<float>(in, "settings");
    EXPECT_EQ(s.size(), 12u);
    c.params.top_p = s[0];
    c.params.min_p = s[1];
    c.params.min_tokens_to_keep = static_cast<int32_t>(s[2]);
    c.params.top_k = static_cast<int32_t>(s[3]);
    c.params.xtc_probability = s[4];
    c.params.xtc_threshold = s[5];
    c.params.repetition_penalty = s[6];
    c.params.repetition_context_size = static_cast<int32_t>(s[7]);
    c.params.presence_penalty = s[8];
    c.params.presence_context_size = static_cast<int32_t>(s[9]);
    c.params.frequency_penalty = s[10];
    c.params.frequency_context_size = static_cast<int32_t>(s[11]);
    c.survivors = read_values<int32_t>(in, "survivors");
    c.logprobs = read_values<float>(in, "logprobs");
    cases.push_back(c);
  }
  EXPECT_GE(cases.size(), 30u);
  return cases;
}

}  // namespace mica
