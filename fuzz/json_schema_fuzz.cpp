// JSON schemas from arbitrary bytes: an Error, or a grammar whose texts are JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "text/grammar/fuzz_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  mica::GrammarSpec spec;
  spec.kind = mica::GrammarSpec::Kind::kJsonSchema;
  spec.any_whitespace = data[0] & 1;
  spec.open_objects = data[0] & 2;
  spec.text.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string text;
  if (mica::grammar_fuzz::walk(spec, data[0], &text) && !nlohmann::json::accept(text)) std::abort();
  return 0;
}
