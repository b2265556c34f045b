// Every PTX instruction that kernels use: one wrapper each, with a body for the GPU (inline PTX)
// and one for the emulator (ops/simt). Section names are those of the PTX ISA, version 8.7.
#pragma once

#include "ops/cuda/ptx_atomic.h"
#include "ops/cuda/ptx_float.h"
#include "ops/cuda/ptx_integer.h"
#include "ops/cuda/ptx_memory.h"
#include "ops/cuda/ptx_mma.h"
#include "ops/cuda/ptx_warp.h"
