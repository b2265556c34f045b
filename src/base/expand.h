// "~" and variables in what people write.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace mica {

using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

// "~" at the start (by HOME), $NAME and ${NAME}; a variable that `lookup` does not know stays as it
// is written, and so does "~" without HOME.
std::string expand_variables(std::string text, const VariableLookup& lookup);

}  // namespace mica
