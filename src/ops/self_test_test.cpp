#include "ops/self_test.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

void expect_passed(const BackendOptions& options) {
  const auto backend = make_backend(options);
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (const SelfTestCheck& check : self_test(*backend, dtype))
      EXPECT_TRUE(check.passed()) << options.device << " " << check.name << " " << check.error;
}

TEST(SelfTest, Cpu) {
  expect_passed({.device = "cpu", .threads = 2});
}

TEST(SelfTest, NamesWhatFailed) {
  const DeviceInfo device = {.name = "GPU", .kind = "cuda"};
  require_passed({{"product", 0.001, 0.01}}, device);
  for (double error : {0.02, std::nan("")}) {
    try {
      require_passed({{"norm", 0, 0.01}, {"product", error, 0.01}}, device);
      FAIL() << "not noticed";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kDevice);
      EXPECT_NE(std::string(e.what()).find("product"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace mica
