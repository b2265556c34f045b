// The template language on arbitrary text: any template gives an output or a TemplateError.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "text/template/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using mica::jinja::Template;
  static const auto variables = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "text", "text": "héllo <b>"}]},
                 {"role": "assistant", "content": null,
                  "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5, "y": [1, 2]}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "add_generation_prompt": true, "n": 3, "s": " a b ", "bos_token": "<s>"})");
  mica::jinja::Limits limits;
  limits.output_bytes = size_t{1} << 20;
  limits.value_bytes = size_t{32} << 20;
  limits.steps = 300000;
  limits.stack_bytes = size_t{2} << 20;
  try {
    Template(std::string_view(reinterpret_cast<const char*>(data), size)).render(variables, limits);
  } catch (const mica::jinja::TemplateError&) {
  }
  return 0;
}
