#include "bench/plan/model_facts.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/json_reader.h"
#include "checkpoint/safetensors.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = size_t{16} << 20;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool has_extension(const fs::path& folder, const char* extension, bool deep) {
  std::error_code failed;
  int seen = 0;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied,
                                      failed);
  for (const fs::recursive_directory_iterator end; !failed && it != end; it.increment(failed)) {
    if (!deep || it.depth() >= 6) it.disable_recursion_pending();
    if (it->path().extension() == extension) return true;
    if (++seen > 20'000) break;
  }
  return false;
}

// The first words of a configuration that may be anything: "" where it can't be read.
nlohmann::json lenient_object(const fs::path& path) {
  if (!is_file(path)) return {};
  try {
    return parse_json_object(read_text_file(path, kMaxConfigBytes), path.filename().string());
  } catch (const Error&) {
    return {};  // whoever reads the model says what is wrong with it
  }
}

std::string text_at(const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool ends_with_any(const std::string& name, std::initializer_list<const char*> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](const char* end) { return name.ends_with(end); });
}

// What belongs to a weight and is none: scales, zero points, look-up tables.
bool is_accessory(const std::string& name) {
  return ends_with_any(name, {".biases",
                              "_scale",
                              "_scale_inv",
                              "_scale_2",
                              "_global_scale",
                              "_scales",
                              ".qzeros",
                              ".g_idx",
                              "_shape",
                              "_zero_point",
                              "weight_g_idx",
                              ".suh",
                              ".svh",
                              ".su",
                              ".sv",
                              ".mcg",
                              ".mul1",
                              ".absmax",
                              ".quant_map",
                              ".nested_absmax",
                              ".nested_quant_map",
                              "bitsandbytes__nf4",
                              "bitsandbytes__fp4"});
}

// How the elements of packed tensors count.
struct Packing {
  std::string scheme;
  int64_t bits = 4, group = 64;
};

// Weights that a tensor stands for.
int64_t weights_in(const SafetensorsEntry& entry, const Packing& packing) {
  const int64_t elements = entry.shape.elements();
  if (is_accessory(entry.name)) return 0;
  if (entry.name.ends_with(".scales"))  // MLX: one scale a group; also AWQ's and GPTQ's
    return packing.scheme == "awq" || packing.scheme == "gptq" ? 0 : elements * packing.group;
  if (entry.dtype == DType::kU32) return 0;  // counted by its scales
  if (ends_with_any(entry.name, {".qweight", "weight_packed"}) && entry.dtype == DType::kI32)
    return elements * (32 / std::max<int64_t>(packing.bits, 1));
  if (entry.name.ends_with(".trellis") && entry.shape.rank() >= 1)
    return elements / std::max<int64_t>(entry.shape[entry.shape.rank() - 1], 1) * 256;
  const bool half =
      packing.scheme == "nvfp4" || packing.scheme == "mxfp4" || packing.scheme == "bitsandbytes";
  if (entry.dtype == DType::kU8) return half ? elements * 2 : elements;
  return elements;
}

Packing packing_of(const nlohmann::json& config, const ModelFacts& facts) {
  Packing packing{facts.quantization};
  for (const char* key : {"quantization", "quantization_config"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_object()) continue;
    const JsonReader of(*found, std::string("config.json: ") + key);
    packing.bits = of.integer("bits", 1, 32, of.integer("w_bit", 1, 32, packing.bits));
    packing.group = of.integer("group_size", 1, 1 << 20, packing.group);
  }
  if (facts.quantization == "int8") packing.bits = 8;
  return packing;
}

bool contains_any(const std::string& name, std::initializer_list<const char*> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const char* part) { return name.find(part) != name.npos; });
}

int64_t prefill_share(const std::string& name, int64_t weights, bool expert,
                      const ModelFacts& facts) {
  if (contains_any(name, {"embed", "lm_head", "wte.", "vision", "visual", "mtp."})) return 0;
  return expert ? static_cast<int64_t>(expert_share(facts) * static_cast<double>(weights))
                : weights;
}

void add_file(const SafetensorsFile& file, const Packing& packing, ModelFacts& facts,
              std::map<DType, uint64_t>& bytes_of) {
  for (const SafetensorsEntry& entry : file.header().entries) {
    const int64_t weights = weights_in(entry, packing);
    const bool expert = contains_any(entry.name, {".experts.", ".switch_mlp."});
    facts.parameters += weights;
    facts.prefill_parameters += prefill_share(entry.name, weights, expert, facts);
    bytes_of[entry.dtype] += entry.bytes;
    if (expert) facts.expert_bytes += entry.bytes;
  }
}

void name_dense(const std::map<DType, uint64_t>& bytes_of, ModelFacts& facts) {
  if (!facts.quantization_text.empty()) return;
  uint64_t most = 0;
  for (const auto& [dtype, bytes] : bytes_of)
    if (is_float(dtype) && bytes > most) {
      most = bytes;
      facts.quantization = name(dtype);
    }
  facts.quantization_text = "not quantized, " + facts.quantization;
}

// Quantization that config.json leaves to a file of its own.
void read_side_files(const fs::path& folder, ModelFacts& facts) {
  if (!facts.quantization_text.empty()) return;
  const nlohmann::json own = lenient_object(folder / "hf_quant_config.json");
  const nlohmann::json exl = lenient_object(folder / "quantization_config.json");
  nlohmann::json wrapped = nlohmann::json::object();
  if (own.is_object() && own.contains("quantization"))
    wrapped["quantization_config"] = own["quantization"];
  else if (exl.is_object())
    wrapped["quantization_config"] = exl;
  else
    return;
  ModelFacts side;
  read_model_config(wrapped.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), side);
  facts.quantization = side.quantization;
  facts.quantization_text = side.quantization_text;
}

}  // namespace

double expert_share(const ModelFacts& facts) {
  if (facts.experts <= 0) return 0;
  return std::min(1.0,
                  static_cast<double>(facts.experts_used) / static_cast<double>(facts.experts));
}

std::string detect_format(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path.extension() == ".gguf" ? "gguf" : "";
  if (!has_extension(path, ".safetensors", false))
    return has_extension(path, ".gguf", true)                               ? "gguf"
           : is_file(path / "config.json") || is_file(path / "params.json") ? "safetensors"
                                                                            : "";
  const nlohmann::json config = lenient_object(path / "config.json");
  const nlohmann::json side = lenient_object(path / "quantization_config.json");
  const auto quantization = config.is_object() ? config.find("quantization_config") : config.end();
  const std::string method = quantization != config.end() && quantization->is_object()
                                 ? text_at(*quantization, "quant_method")
                                 : "";
  if (method == "exl3" || text_at(side, "quant_method") == "exl3") return "exl3";
  const auto mlx = config.is_object() ? config.find("quantization") : config.end();
  if (mlx != config.end() && mlx->is_object() && mlx->contains("group_size")) return "mlx";
  return "safetensors";
}

ModelFacts inspect_safetensors(const fs::path& folder, const std::string& format) {
  ModelFacts facts;
  facts.format = format;
  const std::string text = read_text_file(folder / "config.json", kMaxConfigBytes);
  read_model_config(text, facts);
  read_side_files(folder, facts);
  const nlohmann::json config = parse_json_object(text, "config.json");
  const Packing packing = packing_of(config, facts);
  std::map<DType, uint64_t> bytes_of;
  for (const fs::path& path : checkpoint_files(folder)) {
    const SafetensorsFile file(path);
    add_file(file, packing, facts, bytes_of);
    std::error_code ignored;
    facts.weight_bytes += fs::file_size(path, ignored);
    ++facts.files;
  }
  name_dense(bytes_of, facts);
  return facts;
}

ModelFacts inspect_model(const fs::path& path, const fs::path& projector) {
  const std::string format = detect_format(path);
  ModelFacts facts;
  if (format == "gguf")
    facts = inspect_gguf(path);
  else if (!format.empty())
    facts = inspect_safetensors(path, format);
  else
    throw Error(ErrorKind::kCheckpoint,
                "[model] {}: expected safetensors with a config.json, or a GGUF file, found "
                "neither; is this a model's folder?",
                path.string());
  if (!projector.empty()) {
    std::error_code ignored;
    facts.projector_bytes = fs::file_size(projector, ignored);
    facts.vision = true;
  }
  if (facts.parameters > 0)
    facts.bits_per_weight =
        static_cast<double>(facts.weight_bytes) * 8 / static_cast<double>(facts.parameters);
  return facts;
}

uint64_t kv_bytes(const KvShape& shape, int64_t tokens, int bits) {
  using Wide = unsigned __int128;
  const auto positive = [](int64_t n) { return static_cast<Wide>(std::max<int64_t>(n, 0)); };
  Wide elements = positive(shape.full) * positive(tokens) +
                  positive(shape.sliding) * positive(std::min(tokens, shape.window));
  Wide bytes = elements * static_cast<Wide>(bits) / 8;
  if (bits < 16) bytes += elements / 16;
  bytes += positive(shape.state_bytes);
  constexpr Wide kMost = Wide{1} << 62;
  return static_cast<uint64_t>(std::min(bytes, kMost));
}

}  // namespace mica
