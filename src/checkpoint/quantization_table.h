// What config.json says about the quantization of each module.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/quantization.h"

namespace mica {

class QuantizationTable {
 public:
  QuantizationTable() = default;

  // Reads "quantization", else "quantization_config" (top level, or in text_config). Formats of
  // other tools that Mica doesn't read throw Error(kCheckpoint) with the name and a remedy.
  static QuantizationTable parse(std::string_view config_json);

  // The scheme of modules that are not named; nullopt when the checkpoint states none.
  const std::optional<QuantScheme>& general() const { return general_; }

  // The entry of a module path: nullopt when it is not named; QuantMode::kNone for `false`.
  std::optional<QuantScheme> named(const std::string& path) const;

 private:
  std::optional<QuantScheme> general_;
  std::map<std::string, QuantScheme> named_;  // by canonical module path
};

// Whether MLX has the scheme: affine 2 3 4 5 6 8 bits by 32 64 128, mxfp4, mxfp8, nvfp4.
bool is_supported(const QuantScheme& scheme);

// "affine", "mxfp4", …; throws Error(kUsage) with the known names.
QuantMode parse_quant_mode(const std::string& name);
const char* name(QuantMode mode);

// The scheme of a mode; bits and group default to what MLX does (affine 4-bit g64).
QuantScheme make_scheme(QuantMode mode, std::optional<int> bits, std::optional<int> group);

}  // namespace mica
