#include "checkpoint/tensor_names.h"

namespace mica {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

std::string canonical_name(std::string_view name) {
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
