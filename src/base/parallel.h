// Loops over several threads, for work of milliseconds and more.
#pragma once

#include <cstddef>
#include <functional>

namespace mica {

// Calls work(begin, end) for chunks of [0, count) on several threads (0 = all); begins are
// multiples of `chunk`. `work` must not throw.
void for_chunks(size_t count, size_t chunk, int threads,
                const std::function<void(size_t, size_t)>& work);

}  // namespace mica
