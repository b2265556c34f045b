#include "checkpoint/tensor_names.h"

#include <cstring>
#include <utility>

namespace mica {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::string canonical_name(std::string_view name) {
  for (const auto& [old, now] : {std::pair("LayerNorm.gamma", "LayerNorm.weight"),
                                 std::pair("LayerNorm.beta", "LayerNorm.bias")})
    if (ends_with(name, old))
      return canonical_name(std::string(name.substr(0, name.size() - std::strlen(old))) + now);
  constexpr std::string_view kInner = "model.language_model.";
  constexpr std::string_view kOuter = "language_model.";
  if (starts_with(name, kInner)) return "model." + std::string(name.substr(kInner.size()));
  if (starts_with(name, kOuter)) return std::string(name.substr(kOuter.size()));
  return std::string(name);
}

bool is_ignored_tensor(std::string_view name) {
  if (starts_with(name, "model.")) name.remove_prefix(6);
  for (const std::string_view tower : {"vision_tower.", "vision_model.", "visual.", "audio_tower.",
                                       "multi_modal_projector.", "embed_vision.", "embed_audio."})
    if (starts_with(name, tower)) return true;
  return name.find("rotary_emb.inv_freq") != name.npos;
}

}  // namespace mica
