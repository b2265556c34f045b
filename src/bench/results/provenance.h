// Where a run was measured and with which model.
#pragma once

#include <filesystem>
#include <string>

#include "bench/results/run_record.h"
#include "ops/cuda/probe/probe.h"

namespace mica {

// Machine, driver and GPUs as they are now; engine and model are left empty. Takes up to a few
// seconds (probe_gpus()).
Provenance gather_provenance(const std::string& mica_version, const gpu::ProbePaths& paths = {});

// Files of a model: a folder (its files, not those of folders below), or one file. Of a folder in
// the hub's cache, also id and revision; else the id is the folder's name. Hashes: the hub's own
// where the cache has them; else SHA-256, of files over `whole_bytes` only of their first and last
// MiB and of 64 KiB at 64 places between, with the size. Throws Error(kCheckpoint) when there is no
// such path.
ModelRecord record_model(const std::filesystem::path& path,
                         uint64_t whole_bytes = uint64_t{64} << 20);

}  // namespace mica
