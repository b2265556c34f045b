#include "checkpoint/adapter.h"

#include <algorithm>
#include <string_view>

#include "base/file.h"
#include "checkpoint/json_reader.h"
#include "checkpoint/safetensors.h"

namespace mica {
namespace {

constexpr int64_t kLargestRank = 1024;

// The scale of all modules; refuses what is no LoRA.
float read_scale(const std::filesystem::path& file) {
  const nlohmann::json parsed =
      parse_json_object(read_text_file(file, size_t{1} << 20), file.string());
  const JsonReader config(parsed, file.string());
  const std::string type = config.string("fine_tune_type", "lora");
  if (type != "lora")
    throw Error(ErrorKind::kCheckpoint,
                "[adapter] {}: fine_tune_type is '{}', expected 'lora'; fuse such an adapter into "
                "the model instead (mlx_lm.fuse)",
                file.string(), type);
  const auto parameters = config.object("lora_parameters");
  constexpr double kDefaultScale = 20;  // mlx-lm's
  return static_cast<float>(parameters ? parameters->number("scale", -1e6, 1e6, kDefaultScale)
                                       : kDefaultScale);
}

// out[c, r] = in[r, c] * factor
std::vector<float> transposed(const std::vector<float>& in, int64_t rows, int64_t columns,
                              float factor) {
  std::vector<float> out(in.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c * rows + r)] = in[static_cast<size_t>(r * columns + c)] * factor;
  return out;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path) {}

  std::vector<AdapterModule> modules(float scale) const {
    std::vector<AdapterModule> found;
    for (const SafetensorsEntry& entry : file_.header().entries) {
      const std::string_view name = entry.name;
      if (name.ends_with(".lora_a")) {
        found.push_back(module(entry, scale));
      } else if (name.ends_with(".lora_b")) {
        partner(entry, "lora_a");
      } else {
        fail(entry, "expected tensors that end in .lora_a or .lora_b", name);
      }
    }
    if (found.empty())
      throw Error(ErrorKind::kCheckpoint, "[adapter] {}: it holds no adapted module",
                  file_.path().string());
    return found;
  }

 private:
  [[noreturn]] void fail(const SafetensorsEntry& entry, const std::string& expected,
                         std::string_view found) const {
    throw Error(ErrorKind::kCheckpoint, "[adapter] {}: {}: {}, found {}", file_.path().string(),
                entry.name, expected, found);
  }

  const SafetensorsEntry& partner(const SafetensorsEntry& entry, const char* leaf) const {
    const std::string name = entry.name.substr(0, entry.name.rfind('.') + 1) + leaf;
    const SafetensorsEntry* other = file_.find(name);
    if (!other) fail(entry, fmt::format("expected {} beside it", name), "none");
    return *other;
  }

  std::vector<float> values(const SafetensorsEntry& entry) const {
    if (entry.dtype != DType::kF32 && entry.dtype != DType::kF16 && entry.dtype != DType::kBF16)
      fail(entry, "expected a float dtype", safetensors_name(entry.dtype));
    const Tensor view = file_.view(entry);
    std::vector<float> out(static_cast<size_t>(view.elements()));
    to_f32(view.data, view.dtype, view.elements(), out.data());
    return out;
  }

  AdapterModule module(const SafetensorsEntry& a, float scale) const {
    const SafetensorsEntry& b = partner(a, "lora_b");
    if (a.shape.rank() == 3)
      fail(a, "expected (in, rank): adapters of expert layers are not supported",
           to_string(a.shape));
    if (a.shape.rank() != 2 || a.shape[1] < 1 || a.shape[1] > kLargestRank)
      fail(a, fmt::format("expected (in, rank) with a rank of 1 to {}", kLargestRank),
           to_string(a.shape));
    if (b.shape.rank() != 2 || b.shape[0] != a.shape[1])
      fail(b, fmt::format("expected ({}, out)", a.shape[1]), to_string(b.shape));
    AdapterModule module;
    module.path = a.name.substr(0, a.name.rfind('.'));
    module.columns = a.shape[0];
    module.rank = a.shape[1];
    module.rows = b.shape[1];
    module.down = transposed(values(a), module.columns, module.rank, 1);
    module.up = transposed(values(b), module.rank, module.rows, scale);
    return module;
  }

  SafetensorsFile file_;
};

}  // namespace

int64_t Adapter::rank() const {
  int64_t rank = 0;
  for (const AdapterModule& module : modules) rank = std::max(rank, module.rank);
  return rank;
}

size_t Adapter::bytes() const {
  size_t bytes = 0;
  for (const AdapterModule& module : modules)
    bytes += (module.down.size() + module.up.size()) * sizeof(float);
  return bytes;
}

Adapter read_adapter(const std::filesystem::path& directory) {
  const auto config = directory / "adapter_config.json";
  const auto weights = directory / "adapters.safetensors";
  for (const auto& file : {config, weights})
    if (!std::filesystem::is_regular_file(file))
      throw Error(ErrorKind::kCheckpoint,
                  "[adapter] {}: expected the file {}, not there; an adapter is a folder as "
                  "mlx_lm.lora writes it",
                  directory.string(), file.filename().string());
  Adapter adapter;
  adapter.scale = read_scale(config);
  adapter.modules = Reader(weights).modules(adapter.scale);
  return adapter;
}

}  // namespace mica
