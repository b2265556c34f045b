#include "server/sse.h"

namespace mica {

std::string sse_data(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  while (true) {
    const size_t line = data.find('\n');
    out += "data: ";
    out += data.substr(0, line);
    out += '\n';
    if (line == std::string_view::npos) break;
    data.remove_prefix(line + 1);
  }
  out += '\n';
  return out;
}

std::string sse_event(std::string_view name, std::string_view data) {
  std::string out = "event: ";
  out += name;
  out += '\n';
  return out += sse_data(data);
}

}  // namespace mica
