// mica bench --backend …: any engines side by side, on the same work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mica {

struct BenchBackendsFlags;

// Groups of the help; their flags need --backend.
inline constexpr const char* kServersGroup = "Against servers";
inline constexpr const char* kLaunchGroup = "How they are started (mica plan shows it)";

// Adds the flags to `mica bench`.
std::shared_ptr<BenchBackendsFlags> add_bench_backends_flags(CLI::App& command);

// Whether the command line names a backend.
bool names_backends(const BenchBackendsFlags& flags);

// Measures and prints; the exit status of the program. `kv_bits`: 8, 4, or 0 for what a backend
// does by itself. `depths`: tokens before the prompt, a point each; empty = none.
int run_bench_backends(BenchBackendsFlags& flags, const std::string& model, int32_t kv_bits,
                       const std::vector<int32_t>& depths);

}  // namespace mica
