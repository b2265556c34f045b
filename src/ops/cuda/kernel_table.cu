#include "ops/cuda/gpu_ops.h"
#include "ops/cuda/kernel_table.h"

namespace mica::MICA_GPU {

#ifdef __CUDACC__
#define MICA_KIND "cuda"
#else
#define MICA_KIND "simt"
#endif

const gpu::KernelTable& kernel_table() {
  static const gpu::KernelTable table = {
      .kind = MICA_KIND,
      .ops =
          {
              .embed = embed,
              .rms_norm = rms_norm,
              .layer_norm = layer_norm,
              .linear = linear,
              .rope_append = rope_append,
              .attention = attention,
              .activation = activation,
              .add = add,
              .gather_rows = gather_rows,
              .softcap = softcap,
              .moe_route = moe_route,
              .moe_linear = moe_linear,
              .moe_combine = moe_combine,
              .sample = sample,
              .read_all = read_all,
              .draw = draw,
          },
      .prepare = prepare,
  };
  return table;
}

}  // namespace mica::MICA_GPU
