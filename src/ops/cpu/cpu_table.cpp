#include "ops/cpu/cpu_ops.h"

namespace mica {

const Ops& cpu_ops() {
  static const Ops table = {
      .embed = cpu::embed,
      .rms_norm = cpu::rms_norm,
      .layer_norm = cpu::layer_norm,
      .linear = cpu::linear,
      .rope_append = cpu::rope_append,
      .attention = cpu::attention,
      .activation = cpu::activation,
      .add = cpu::add,
      .gather_rows = cpu::gather_rows,
      .softcap = cpu::softcap,
      .moe_route = cpu::moe_route,
      .moe_linear = cpu::moe_linear,
      .moe_combine = cpu::moe_combine,
      .sample = cpu::sample,
  };
  return table;
}

}  // namespace mica
