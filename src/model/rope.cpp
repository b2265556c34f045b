#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mica {
namespace {

using Wavelengths = std::vector<float>;  // theta^(2i / rotary): positions per radian

Wavelengths default_wavelengths(float theta, int64_t rotary) {
  Wavelengths wave(static_cast<size_t>(rotary / 2));
  for (size_t i = 0; i < wave.size(); ++i)
    wave[i] = std::pow(theta, static_cast<float>(2 * i) / static_cast<float>(rotary));
  return wave;
}

// Long wavelengths are stretched by `factor`, short ones kept, those between blended.
void scale_llama3(const RopeConfig& rope, Wavelengths& wave) {
  const float context =
      rope.original_max_position > 0 ? static_cast<float>(rope.original_max_position) : 8192.0f;
  const float longest = context / rope.low_freq_factor;
  const float shortest = context / rope.high_freq_factor;
  for (float& w : wave) {
    const float period = 2 * std::numbers::pi_v<float> * w;
    if (period > longest) {
      w *= rope.factor;
    } else if (period > shortest && period < longest) {
      const float smooth = (context / period - rope.low_freq_factor) /
                           (rope.high_freq_factor - rope.low_freq_factor);
      w /= (1 - smooth) / rope.factor + smooth;
    }
  }
}

float yarn_magnitude(float factor, float mscale) {
  return factor <= 1 ? 1.0f : 0.1f * mscale * std::log(factor) + 1.0f;
}

// The index of the pair that turns `rotations` times over the original context.
float yarn_dimension(const RopeConfig& rope, float theta, int64_t rotary, float rotations) {
  const double context =
      rope.original_max_position > 0 ? static_cast<double>(rope.original_max_position) : 4096.0;
  return static_cast<float>(static_cast<double>(rotary) *
                            std::log(context / (rotations * 2 * std::numbers::pi)) /
                            (2 * std::log(static_cast<double>(theta))));
}

float scale_yarn(const RopeConfig& rope, float theta, int64_t rotary, Wavelengths& wave) {
  const float low = std::max(std::floor(yarn_dimension(rope, theta, rotary, rope.beta_fast)), 0.0f);
  float high = std::min(std::ceil(yarn_dimension(rope, theta, rotary, rope.beta_slow)),
                        static_cast<float>(rotary - 1));
  if (low == high) high += 0.001f;
  for (size_t i = 0; i < wave.size(); ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - low) / (high - low), 0.0f, 1.0f);
    const float kept = wave[i], stretched = rope.factor * wave[i];
    wave[i] = stretched * kept / (stretched * (1 - ramp) + kept * ramp);
  }
  return yarn_magnitude(rope.factor, rope.mscale) /
         yarn_magnitude(rope.factor, rope.mscale_all_dim);
}

float scale_longrope(const RopeConfig& rope, int64_t max_position, Wavelengths& wave) {
  if (rope.long_factor.size() != wave.size() && rope.long_factor.size() != 1)
    throw Error(ErrorKind::kCheckpoint,
                "[config] rope_scaling.long_factor: expected {} values (half of the rotated head), "
                "found {}",
                wave.size(), rope.long_factor.size());
  if (rope.original_max_position <= 0)
    throw Error(ErrorKind::kCheckpoint,
                "[config] rope_scaling of type longrope: original_max_position_embeddings is "
                "missing; is this a phi-3 style config?");
  for (size_t i = 0; i < wave.size(); ++i)
    wave[i] *= rope.long_factor[rope.long_factor.size() == 1 ? 0 : i];
  const float original = static_cast<float>(rope.original_max_position);
  const float factor = static_cast<float>(max_position) / original;
  return factor <= 1 ? 1.0f : std::sqrt(1 + std::log(factor) / std::log(original));
}

std::vector<float> inverse(const Wavelengths& wave) {
  std::vector<float> frequencies(wave.size());
  std::transform(wave.begin(), wave.end(), frequencies.begin(), [](float w) { return 1 / w; });
  return frequencies;
}

}  // namespace

RopeTable make_rope_table(const RopeConfig& rope, float theta, int64_t rotary,
                          int64_t max_position_embeddings) {
  Wavelengths wave = default_wavelengths(theta, rotary);
  RopeTable table;
  if (rope.type == "linear") {
    for (float& w : wave) w *= rope.factor;
  } else if (rope.type == "llama3") {
    scale_llama3(rope, wave);
  } else if (rope.type == "yarn" || rope.type == "deepseek_yarn") {
    table.magnitude = scale_yarn(rope, theta, rotary, wave);
  } else if (rope.type == "longrope" || rope.type == "su") {
    table.magnitude = scale_longrope(rope, max_position_embeddings, wave);
  } else if (rope.type != "default" && rope.type != "dynamic" && rope.type != "mrope") {
    throw Error(ErrorKind::kCheckpoint,
                "[config] rope_scaling: expected one of default, linear, dynamic, llama3, yarn, "
                "longrope, mrope, found '{}'",
                rope.type);
  }
  table.inverse_frequencies = inverse(wave);
  return table;
}

std::vector<float> dynamic_rope_frequencies(const RopeConfig& rope, float theta, int64_t rotary,
                                            int64_t max_position_embeddings, int64_t length) {
  const double limit = static_cast<double>(max_position_embeddings);
  const double seen = std::max(static_cast<double>(length), limit);
  const double dims = static_cast<double>(rotary);
  const double growth = rope.factor * seen / limit - (rope.factor - 1.0);
  const double base = theta * std::pow(growth, dims / (dims - 2));
  return inverse(default_wavelengths(static_cast<float>(base), rotary));
}

}  // namespace mica
