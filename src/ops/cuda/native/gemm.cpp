#include "ops/cuda/native/gemm.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "ops/cuda/native/cublaslt.h"
#include "ops/cuda/native/handle.h"

namespace mica::cuda {
namespace {

constexpr size_t kWorkspace = size_t{32} << 20;
constexpr size_t kPlans = 4096;  // kept; prompts bring a new m each

void check(cublasStatus_t status, const CublasLt& lt, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(ErrorKind::kInternal, "[cublaslt] cublasLt{}: {}", call, lt.GetStatusName(status));
}

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::kBF16: return CUDA_R_16BF;
    case DType::kF16: return CUDA_R_16F;
    case DType::kF32: return CUDA_R_32F;
    default: MICA_CHECK(false);
  }
}

// A descriptor of cuBLASLt.
template <typename T>
class Descriptor {
 public:
  explicit Descriptor(cublasStatus_t (*destroy)(T)) : destroy_(destroy) {}
  ~Descriptor() {
    if (descriptor_) destroy_(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  T get() const { return descriptor_; }
  T* put() { return &descriptor_; }

 private:
  cublasStatus_t (*destroy_)(T);
  T descriptor_ = nullptr;
};

// What decides the algorithm.
struct Shape {
  DType in, out;
  int64_t m, n, k, c_stride;
  std::array<uint32_t, 3> alignment;  // bytes, of a, b and c
  auto operator<=>(const Shape&) const = default;
};

// The largest power of 2 that divides the address, at most what cuBLASLt asks for.
uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 256;
  return static_cast<uint32_t>(address & -address);
}

Shape shape_of(const gpu::GemmParams& p) {
  return {.in = p.in,
          .out = p.out,
          .m = p.m,
          .n = p.n,
          .k = p.k,
          .c_stride = p.c_stride > 0 ? p.c_stride : p.n,
          .alignment = {alignment_of(p.a), alignment_of(p.b), alignment_of(p.c)}};
}

// Descriptors and algorithm of one shape. cuBLASLt's matrices are column-major, so that a row-major
// [rows, columns] is its [columns, rows]: it computes c^T [n, m] = b · a^T, where b comes
// transposed.
class Plan {
 public:
  Plan(const CublasLt& lt, cublasLtHandle_t handle, const Shape& s);
  void run(cublasLtHandle_t handle, const gpu::GemmParams& p, const Buffer& workspace,
           cudaStream_t stream) const;

 private:
  void choose(cublasLtHandle_t handle, const Shape& s);

  const CublasLt& lt_;
  Descriptor<cublasLtMatmulDesc_t> product_;
  Descriptor<cublasLtMatrixLayout_t> a_, b_, c_;
  cublasLtMatmulHeuristicResult_t chosen_ = {};
};

Plan::Plan(const CublasLt& lt, cublasLtHandle_t handle, const Shape& s)
    : lt_(lt),
      product_(lt.MatmulDescDestroy),
      a_(lt.MatrixLayoutDestroy),
      b_(lt.MatrixLayoutDestroy),
      c_(lt.MatrixLayoutDestroy) {
  // f32 products of f32 too: TF32 would drop 13 bits.
  check(lt.MatmulDescCreate(product_.put(), CUBLAS_COMPUTE_32F, CUDA_R_32F), lt,
        "MatmulDescCreate");
  const cublasOperation_t transpose = CUBLAS_OP_T;
  check(lt.MatmulDescSetAttribute(product_.get(), CUBLASLT_MATMUL_DESC_TRANSA, &transpose,
                                  sizeof transpose),
        lt, "MatmulDescSetAttribute");
  const auto m = static_cast<uint64_t>(s.m), n = static_cast<uint64_t>(s.n),
             k = static_cast<uint64_t>(s.k);
  const auto layout = [&](auto& matrix, DType dtype, uint64_t rows, uint64_t columns,
                          int64_t stride) {
    check(lt.MatrixLayoutCreate(matrix.put(), type_of(dtype), rows, columns, stride), lt,
          "MatrixLayoutCreate");
  };
  layout(a_, s.in, k, m, s.k);
  layout(b_, s.in, k, n, s.k);
  layout(c_, s.out, n, m, s.c_stride);
  choose(handle, s);
}

void Plan::choose(cublasLtHandle_t handle, const Shape& s) {
  Descriptor<cublasLtMatmulPreference_t> preference(lt_.MatmulPreferenceDestroy);
  check(lt_.MatmulPreferenceCreate(preference.put()), lt_, "MatmulPreferenceCreate");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, auto value) {
    check(lt_.MatmulPreferenceSetAttribute(preference.get(), name, &value, sizeof value), lt_,
          "MatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspace});
  // Parts of a sum are added in f32, not in the type of c.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  // cuBLASLt's A is b, and its B is a.
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, s.alignment[1]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, s.alignment[0]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, s.alignment[2]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, s.alignment[2]);
  int found = 0;
  const cublasStatus_t status =
      lt_.MatmulAlgoGetHeuristic(handle, product_.get(), b_.get(), a_.get(), c_.get(), c_.get(),
                                 preference.get(), 1, &chosen_, &found);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0 || chosen_.state != CUBLAS_STATUS_SUCCESS)
    throw Error(
        ErrorKind::kInternal,
        "[cublaslt] no algorithm for c[{}, {}] of {} with k = {} of {}, rows of c {} apart: "
        "{}",
        s.m, s.n, name(s.out), s.k, name(s.in), s.c_stride, lt_.GetStatusName(status));
}

void Plan::run(cublasLtHandle_t handle, const gpu::GemmParams& p, const Buffer& workspace,
               cudaStream_t stream) const {
  const float alpha = 1, beta = p.add ? 1 : 0;
  check(
      lt_.Matmul(handle, product_.get(), &alpha, p.b, b_.get(), p.a, a_.get(), &beta, p.c, c_.get(),
                 p.c, c_.get(), &chosen_.algo, workspace.data(), workspace.size(), stream),
      lt_, "Matmul");
}

// The loaded library with this device's handle and workspace.
class Library {
 public:
  explicit Library(CudaDevice& device) : lt_(load_cublaslt()) {
    device.use();
    const OutsideOfCapture allowed;
    check(lt_.Create(&handle_), lt_, "Create");
    workspace_ = device.allocate(kWorkspace);
  }
  ~Library() {
    plans_.clear();
    if (handle_) lt_.Destroy(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  void run(gpu::Stream& stream, const gpu::GemmParams& p) {
    auto* native = static_cast<cudaStream_t>(stream.native());
    const OutsideOfCapture allowed;  // to choose an algorithm and load its kernel; not for its work
    plan(shape_of(p)).run(handle_, p, workspace_, native);
  }

 private:
  const Plan& plan(const Shape& shape) {
    auto found = plans_.find(shape);
    if (found != plans_.end()) return found->second;
    if (plans_.size() >= kPlans) plans_.clear();
    return plans_.try_emplace(shape, lt_, handle_, shape).first->second;
  }

  const CublasLt& lt_;
  cublasLtHandle_t handle_ = nullptr;
  Buffer workspace_;
  std::map<Shape, Plan> plans_;
};

class CublasLtGemm final : public gpu::Gemm {
 public:
  explicit CublasLtGemm(CudaDevice& device) : device_(device) {}

  bool available() const override {
    if (!tried_) {
      tried_ = true;
      try {
        library_.emplace(device_);
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::kOutOfMemory) throw;
        log_warning("{}\nMica's own kernels take the place of cuBLASLt's", error.what());
      }
    }
    return library_.has_value();
  }

  void run(gpu::Stream& stream, const gpu::GemmParams& p) override {
    MICA_CHECK(p.out == p.in || p.out == DType::kF32);
    MICA_CHECK_MSG(available(), "a product of cuBLASLt, which is not there");
    if (p.m == 0 || p.n == 0) return;
    MICA_CHECK(p.k > 0);
    library_->run(stream, p);
  }

 private:
  CudaDevice& device_;
  mutable bool tried_ = false;
  mutable std::optional<Library> library_;
};

}  // namespace

std::unique_ptr<gpu::Gemm> make_gemm(CudaDevice& device) {
  return std::make_unique<CublasLtGemm>(device);
}

}  // namespace mica::cuda
