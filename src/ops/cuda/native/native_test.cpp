// What of the CUDA runtime's side can be tested without a GPU: errors, names of devices, and where
// cuBLASLt is looked for.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "ops/cuda/native/cublaslt.h"
#include "ops/cuda/native/device.h"
#include "ops/cuda/native/status.h"

namespace mica::cuda {
namespace {

namespace fs = std::filesystem;

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' not in: " << text;
}

// An environment variable until the end of the scope; null removes it.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) {
    if (value)
      setenv(name_, value, 1);
    else
      unsetenv(name_);
  }
  const char* name_;
  std::optional<std::string> before_;
};

Error error_of(cudaError_t status) {
  try {
    check(status, "cudaMemcpyAsync");
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kUsage, "nothing thrown");
}

TEST(Status, HasKindCallNameTextAndPlace) {
  EXPECT_NO_THROW(check(cudaSuccess, "cudaMemcpyAsync"));
  const Error error = error_of(cudaErrorInvalidValue);
  EXPECT_EQ(error.kind(), ErrorKind::kInternal);
  for (const char* part : {"[cuda] cudaMemcpyAsync", "cudaErrorInvalidValue (1)",
                           "invalid argument", "native_test.cpp:"})
    expect_contains(error.what(), part);
  EXPECT_EQ(std::string(error.what()).find("restart"), std::string::npos);
  EXPECT_EQ(error_of(cudaErrorMemoryAllocation).kind(), ErrorKind::kOutOfMemory);
  EXPECT_EQ(error_of(cudaErrorInsufficientDriver).kind(), ErrorKind::kDevice);
}

TEST(Status, ALostContextSaysRestart) {
  for (cudaError_t status : {cudaErrorIllegalAddress, cudaErrorLaunchFailure,
                             cudaErrorECCUncorrectable, cudaErrorMisalignedAddress}) {
    EXPECT_TRUE(is_sticky(status));
    expect_contains(error_of(status).what(), "restart Mica");
  }
  EXPECT_EQ(kind_of(cudaErrorIllegalAddress), ErrorKind::kInternal);
  EXPECT_EQ(kind_of(cudaErrorECCUncorrectable), ErrorKind::kDevice);
  EXPECT_FALSE(is_sticky(cudaErrorMemoryAllocation));
}

TEST(OpenDevice, RefusesNamesThatAreNone) {
  for (const char* name : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda: 1", "cuda:99999999999"})
    try {
      open_device(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << name;
      expect_contains(error.what(), name);
    }
}

// With a GPU too: there are never so many.
TEST(OpenDevice, SaysAtOnceThatThereIsNoSuchDevice) {
  const auto start = std::chrono::steady_clock::now();
  try {
    open_device("cuda:4096");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    expect_contains(error.what(), "cuda:4096");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

class CublasLtTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string make_library(const fs::path& below) {
    const fs::path file = folder_ / below / cublaslt_name();
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "no library";
    return file.string();
  }
  std::string failure() {
    try {
      load_cublaslt();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDevice);
      return error.what();
    }
    return "nothing thrown";
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / ("cublaslt" + std::to_string(getpid()));
  Variable chosen_{"MICA_CUBLASLT", nullptr}, toolkit_{"CUDA_HOME", nullptr},
      other_{"CUDA_PATH", nullptr}, virtual_{"VIRTUAL_ENV", nullptr},
      conda_{"CONDA_PREFIX", nullptr}, path_{"PATH", "/nowhere"}, home_{"HOME", "/nowhere"};
};

TEST_F(CublasLtTest, PlacesInOrder) {
  const std::string major = std::to_string(CUBLAS_VER_MAJOR);
  const std::string toolkit = make_library("toolkit/lib64");
  const std::string package =
      make_library("venv/lib/python3.12/site-packages/nvidia/cu" + major + "/lib");
  const std::string conda = make_library("conda/lib");
  const std::string beside = make_library("python/lib/python3.11/dist-packages/nvidia/cublas/lib");
  const std::string home = (folder_ / "toolkit").string(), venv = (folder_ / "venv").string(),
                    environment = (folder_ / "conda").string(),
                    path = "/nowhere:" + (folder_ / "python/bin").string();
  Variable a("CUDA_HOME", home.c_str()), b("VIRTUAL_ENV", venv.c_str()),
      c("CONDA_PREFIX", environment.c_str()), d("PATH", path.c_str());
  std::vector<std::string> places = cublaslt_places();
  std::erase_if(places, [](const std::string& place) { return place.starts_with("/usr/"); });
  EXPECT_EQ(places, (std::vector<std::string>{cublaslt_name(), toolkit, package, conda, beside}));
  Variable e("MICA_CUBLASLT", "/chosen/libcublasLt.so");
  EXPECT_EQ(cublaslt_places(), std::vector<std::string>{"/chosen/libcublasLt.so"});
}

TEST_F(CublasLtTest, FailureTellsWhatWasTried) {
  const std::string file = make_library("broken");
  Variable broken("MICA_CUBLASLT", file.c_str());
  const std::string text = failure();
  for (const char* part : {"[cublaslt]", "was not found", "MICA_CUBLASLT", "nvidia-cublas"})
    expect_contains(text, part);
  expect_contains(text, file);
}

TEST_F(CublasLtTest, AnotherLibraryIsRefused) {
  Variable other("MICA_CUBLASLT", "libm.so.6");
  expect_contains(failure(), "it has no cublasLtCreate");
}

TEST_F(CublasLtTest, LoadsWhereInstalled) {
  bool there = false;
  for (const std::string& place : cublaslt_places()) there |= place.starts_with('/');
  if (!there) GTEST_SKIP() << "no cuBLASLt on this machine";
  const CublasLt& lt = load_cublaslt();
  EXPECT_EQ(lt.GetVersion() / 10000, static_cast<size_t>(CUBLAS_VER_MAJOR));
  EXPECT_STREQ(lt.GetStatusName(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED");
}

}  // namespace
}  // namespace mica::cuda
