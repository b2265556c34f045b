#include "base/parallel.h"

#include <algorithm>
#include <thread>
#include <vector>

namespace mica {

void for_chunks(size_t count, size_t chunk, int threads,
                const std::function<void(size_t, size_t)>& work) {
  const size_t chunks = (count + chunk - 1) / chunk;
  const size_t wanted = threads > 0 ? static_cast<size_t>(threads)
                                    : std::max(1u, std::thread::hardware_concurrency());
  const size_t workers = std::min(wanted, chunks);
  const auto run = [&](size_t worker) {
    for (size_t i = worker; i < chunks; i += workers)
      work(i * chunk, std::min(count, (i + 1) * chunk));
  };
  std::vector<std::thread> team;
  for (size_t worker = 1; worker < workers; ++worker) team.emplace_back(run, worker);
  if (workers > 0) run(0);
  for (std::thread& thread : team) thread.join();
}

}  // namespace mica
