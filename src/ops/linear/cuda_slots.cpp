#include <algorithm>

#include "ops/linear/cuda_linear.h"

namespace mica::gpu {

Slots slots_of(int64_t rows) {
  Slots slots{.rows = rows};
  while (slots.tile < 64 && slots.tile < rows) slots.tile *= 2;
  slots.count = (rows + slots.tile - 1) / slots.tile * slots.tile;
  return slots;
}

}  // namespace mica::gpu
