// mica bench --backend …: any engines side by side, on the same work.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mica {

struct BenchBackendsFlags;

// Adds the flags to `mica bench`.
std::shared_ptr<BenchBackendsFlags> add_bench_backends_flags(CLI::App& command);

// Whether the command line names a backend.
bool names_backends(const BenchBackendsFlags& flags);

// Measures and prints; the exit status of the program.
int run_bench_backends(const BenchBackendsFlags& flags, const std::string& model);

}  // namespace mica
