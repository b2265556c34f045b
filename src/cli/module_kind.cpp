#include "cli/module_kind.h"

#include <algorithm>

namespace mica {

std::string kind_of(const std::string& path) {
  std::string kind;
  size_t at = 0;
  while (at <= path.size()) {
    const size_t end = std::min(path.find('.', at), path.size());
    const std::string part = path.substr(at, end - at);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    kind += (at ? "." : "") + (number ? std::string("*") : part);
    at = end + 1;
  }
  return kind;
}

}  // namespace mica
