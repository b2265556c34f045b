// The primitives of each instruction set that this machine has, against the portable ones.
#include <gtest/gtest.h>

#include "ops/cpu/isa.h"

namespace mica {

const char* check_avx2();
const char* check_avx512();

namespace {

TEST(Simd, Avx2EqualsPortable) {
  if (best_isa() < Isa::kAvx2) GTEST_SKIP() << "no AVX2 here";
  EXPECT_EQ(check_avx2(), nullptr) << check_avx2();
}

TEST(Simd, Avx512EqualsPortable) {
  if (best_isa() < Isa::kAvx512Vnni) GTEST_SKIP() << "no AVX-512 here";
  EXPECT_EQ(check_avx512(), nullptr) << check_avx512();
}

}  // namespace
}  // namespace mica
