// How far two implementations of an operation may lie apart: absolute + |reference| * relative.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tensor/dtype.h"

namespace mica {

// A few roundings of the dtype. f32: sums of some hundred terms in another order.
inline double epsilon(DType dtype) {
  switch (dtype) {
    case DType::kBF16: return 0x1p-7;
    case DType::kF16: return 0x1p-10;
    default: return 5e-6;
  }
}

// `scale`: the size of the terms whose sum a result is, where they cancel.
inline void expect_close(const std::vector<float>& found, const std::vector<float>& expected,
                         DType dtype, double scale = 1) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == expected[i]) continue;  // infinities too
    const double allowed = epsilon(dtype) * (scale + std::abs(expected[i]));
    // Negated, so that NaN fails.
    ASSERT_FALSE(!(std::abs(static_cast<double>(found[i]) - expected[i]) <= allowed))
        << "element " << i << ": " << found[i] << ", expected " << expected[i] << " +- " << allowed;
  }
}

}  // namespace mica
