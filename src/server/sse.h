// Server-sent events (WHATWG HTML, 9.2).
#pragma once

#include <string>
#include <string_view>

namespace mica {

inline constexpr const char* kEventStream = "text/event-stream";
// A comment: readers skip it, connections stay open.
inline constexpr std::string_view kSseKeepalive = ": keepalive\n\n";
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// "data: …\n\n"; each line of `data` gets its own field.
std::string sse_data(std::string_view data);
// The same with "event: name" before it.
std::string sse_event(std::string_view name, std::string_view data);

}  // namespace mica
