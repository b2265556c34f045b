// mica serve --backend B --detach, --list, --stop: engines that outlive the terminal.
#pragma once

#include <string>

namespace mica {

// Starts this very command anew, without --detach, in a session of its own, and waits until it says
// that it is ready. Prints its process and its log. Throws Ending with its status when it ends
// before, after its last lines.
void serve_detached();

// What Mica has started and watches over, one line each.
void list_served();

// Ends the Mica processes that watch over `which`: a run, a process number, a backend, or "all";
// and waits for them. Throws Error(kUsage) when nothing is so called, Error(kBackend) when one does
// not end.
void stop_served(const std::string& which);

}  // namespace mica
