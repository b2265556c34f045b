// Regular expressions in ECMAScript's syntax (with the u flag) as expressions over characters.
#pragma once

#include <string>
#include <string_view>

#include "text/grammar/expression.h"

namespace mica::grammar {

// `search`: the pattern may match anywhere in the text, as JSON schema's `pattern`; else it is the
// whole text. Only kClass, kSequence, kChoice and kRepeat come out. Throws Error(kUsage) with
// `place` and the position in the pattern.
ExprId parse_regex(Grammar& grammar, std::string_view pattern, bool search,
                   const std::string& place);

constexpr int32_t kMaxRepeat = 100'000;  // in {m,n}, of GBNF too

}  // namespace mica::grammar
