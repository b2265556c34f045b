// What a command line that can't be read means to say.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mica {

// The first words of `given` (the program's arguments) that the parser refused, with the nearest
// command or flag; else words too many. Lines without a last end of line, or empty. `app` has just
// failed to parse them.
std::string unknown_words(const CLI::App& app, const std::vector<std::string>& given);

}  // namespace mica
