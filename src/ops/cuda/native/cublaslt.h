// cuBLASLt, loaded at run time: the toolkit need not be there, and half a gigabyte is read only
// when a product asks for it.
#pragma once

#include <cublasLt.h>

#include <memory>
#include <string>
#include <vector>

namespace mica::cuda {

// The functions that Mica calls, named as in cublasLt.h without the prefix.
struct CublasLt {
  decltype(&cublasLtCreate) Create;
  decltype(&cublasLtDestroy) Destroy;
  decltype(&cublasLtGetVersion) GetVersion;
  decltype(&cublasLtGetStatusName) GetStatusName;
  decltype(&cublasLtMatmul) Matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy;
};

// "libcublasLt.so.13": the version whose header Mica was built with.
std::string cublaslt_name();

// Where the library is looked for, in order; the loader takes a name without '/'. MICA_CUBLASLT
// stands for all other places. docs/cuda.md lists the order.
std::vector<std::string> cublaslt_places();

// The library from the first place that has it, never unloaded. Throws Error(kDevice) with the
// places that were tried and what to install.
const CublasLt& load_cublaslt();

}  // namespace mica::cuda
