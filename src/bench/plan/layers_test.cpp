#include "bench/plan/layers.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/plan/models_file.h"

namespace mica {
namespace {

// Layers of vLLM as the models file has them: defaults, a pattern, a model, a profile.
std::vector<Layer> layers_of(const std::string& defaults, const std::string& model,
                             const std::string& profile = "{}", const std::string& pattern = "{}") {
  static const BackendTable table;
  const std::string pattern_keys =
      pattern == "{}" ? "" : ", " + pattern.substr(1, pattern.size() - 2);
  std::string base = defaults;
  base.insert(base.size() - 1, std::string(base == "{}" ? "" : ", ") +
                                   "model_patterns: [{match: '*'" + pattern_keys + "}]");
  const ModelsFile file =
      parse_models_file("defaults: {backends: {vllm: " + base +
                            "}}\nmodels:\n  - repo_id: a/b\n    backends: {vllm: " + model +
                            "}\n    profiles: {p: " + profile + "}\n",
                        "m.yaml", table);
  return file.layers("vllm", "a/b", &file.models[0], &file.models[0].profiles[0]);
}

// Everything of the merged layers as one line.
std::string shown(const MergedLayers& merged) {
  std::string text;
  for (const auto& [key, value] : merged.scalars) text += key + "=" + value.value + " ";
  for (const auto& [key, value] : merged.settings)
    text += key + ":" + (value ? value->values.front() : "none") + " ";
  for (const auto& [key, value] : merged.environment)
    text += "$" + key + "=" + (value ? value->value : "none") + " ";
  for (const auto& [key, value] : merged.sampling)
    text += "." + key + "=" + (value ? value->value : "none") + " ";
  for (const PlanArgument& argument : merged.extra_arguments) {
    text += "[";
    for (const std::string& word : argument.words) text += (text.back() == '[' ? "" : " ") + word;
    text += "]";
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

TEST(Layers, MergeRules) {
  const BackendTable table;
  const struct {
    const char* what;
    std::vector<Layer> layers;
    std::string merged;
  } cases[] = {
      {"nothing", layers_of("{}", "{}"), ""},
      {"a later scalar replaces", layers_of("{version: v1, image: i}", "{version: v2}"),
       "image=i version=v2"},
      {"the profile is above the model", layers_of("{}", "{version: v1}", "{version: v2}"),
       "version=v2"},
      {"the model is above the pattern", layers_of("{}", "{version: v1}", "{}", "{version: v2}"),
       "version=v1"},
      {"settings merge key by key",
       layers_of("{args: {context: 1, concurrency: 2}}", "{args: {context: 3}}"),
       "concurrency:2 context:3"},
      {"a setting without a value goes", layers_of("{args: {context: 1}}", "{args: {context: }}"),
       "context:none"},
      {"old names are the same setting",
       layers_of("{args: {max_model_len: 1}}", "{args: {context: 3}}"), "context:3"},
      {"lists grow", layers_of("{extra_args: [--a, '1', --b]}", "{extra_args: [--c, x, y]}"),
       "[--a 1][--b][--c x y]"},
      {"append is what a list does",
       layers_of("{extra_args: [--a]}", "{extra_args: {append: [--c]}}"), "[--a][--c]"},
      {"replace takes all before",
       layers_of("{extra_args: [--a, --b]}", "{extra_args: {replace: [--c]}}"), "[--c]"},
      {"remove takes a flag with its values",
       layers_of("{extra_args: [--a, '1', --b=2, --c]}", "{extra_args: {remove: [--a, --b]}}"),
       "[--c]"},
      {"remove and append",
       layers_of("{extra_args: [--a, '1']}", "{extra_args: {remove: [--a], append: [--a, '2']}}"),
       "[--a 2]"},
      {"what is removed may come again",
       layers_of("{extra_args: [--a]}", "{extra_args: {remove: [--a]}}", "{extra_args: [--a]}"),
       "[--a]"},
      {"a setting's flag among the words is the setting",
       layers_of("{args: {context: 1}}", "{extra_args: [--max-model-len, '5', --x]}"),
       "context:5 [--x]"},
      {"and a setting above it wins",
       layers_of("{extra_args: [--max-model-len=5]}", "{args: {context: 1}}"), "context:1"},
      {"switches too", layers_of("{extra_args: [--no-enable-prefix-caching]}", "{}"),
       "prefix_cache:false"},
      {"and choices", layers_of("{extra_args: [--kv-cache-dtype, fp8]}", "{}"), "kv_bits:8"},
      {"another way of saying one stays as it is",
       layers_of("{args: {kv_bits: 8}}", "{extra_args: [--kv-cache-dtype, fp8_e5m2]}"),
       "kv_bits:none [--kv-cache-dtype fp8_e5m2]"},
      {"until the setting says it again",
       layers_of("{extra_args: [--kv-cache-dtype, fp8_e5m2]}", "{args: {kv_bits: 8}}"),
       "kv_bits:8"},
      {"remove takes a setting, too",
       layers_of("{args: {context: 1}}", "{extra_args: {remove: [--max-model-len]}}"),
       "context:none"},
      {"negative numbers are values", layers_of("{extra_args: [--a, '-1', -b]}", "{}"),
       "[--a -1][-b]"},
      {"words in one item stay together", layers_of("{extra_args: [[--a, -b], c]}", "{}"),
       "[--a -b][c]"},
      {"variables merge", layers_of("{env: {A: 1, B: 2}}", "{env: {B: 3, A: }}"), "$A=none $B=3"},
      {"fields merge",
       layers_of("{sampling: {top_p: 0.5}}", "{}", "{sampling: {top_p: 0.9, seed: 1}}"),
       ".seed=1 .top_p=0.9"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(shown(merge_layers(table.get("vllm"), c.layers)), c.merged) << c.what;
}

TEST(Layers, SurprisesAreSaid) {
  const BackendTable table;
  const auto warnings = [&](const std::vector<Layer>& layers) {
    std::string text;
    for (const std::string& warning : merge_layers(table.get("vllm"), layers).warnings)
      text += warning + "\n";
    return text;
  };
  EXPECT_EQ(warnings(layers_of("{extra_args: [--a]}", "{extra_args: [--a]}")),
            "--a is there twice: m.yaml:1 and m.yaml:4; most backends take the last one\n");
  EXPECT_EQ(warnings(layers_of("{}", "{extra_args: {remove: [--a]}}")),
            "m.yaml:4: there is no --a to remove\n");
}

TEST(Layers, WhatMicaSaysCantBeAnExtraArgument) {
  const BackendTable table;
  try {
    merge_layers(table.get("vllm"), layers_of("{}", "{extra_args: [--host, 0.0.0.0]}"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[plan] m.yaml:4: --host is said by Mica; it can't be an extra argument; "
                 "--host says it");
  }
}

TEST(Layers, MountsAndOptionsOfDocker) {
  const BackendTable table;
  const MergedLayers merged = merge_layers(
      table.get("vllm"),
      layers_of("{mounts: ['/a:/x', '/b:/y:rw'], docker_options: [--shm-size, 8g]}",
                "{mounts: {remove: [/x, /root/.cache/vllm], append: ['/c:/z']}, docker_options: "
                "{remove: [--runtime]}}"));
  ASSERT_EQ(merged.mounts.size(), 2u);
  EXPECT_EQ(merged.mounts[0].words.front(), "/b:/y:rw");
  EXPECT_EQ(merged.mounts[1].words.front(), "/c:/z");
  EXPECT_EQ(merged.removed_mounts.size(), 2u);
  ASSERT_EQ(merged.docker_options.size(), 1u);
  EXPECT_EQ(merged.docker_options[0].words, (std::vector<std::string>{"--shm-size", "8g"}));
  ASSERT_EQ(merged.removed_docker_options.size(), 1u);
}

}  // namespace
}  // namespace mica
