// GBNF and regular expressions from arbitrary bytes: an Error or a grammar whose masks are what
// accept says. The first byte chooses the notation, the second the path through the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "text/grammar/fuzz_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  mica::GrammarSpec spec;
  spec.kind = data[0] % 2 ? mica::GrammarSpec::Kind::kRegex : mica::GrammarSpec::Kind::kGrammar;
  spec.text.assign(reinterpret_cast<const char*>(data) + 2, size - 2);
  mica::grammar_fuzz::walk(spec, data[1]);
  return 0;
}
