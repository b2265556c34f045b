// The reference operations: plain loops, f64 sums, one rounding at the end, no cleverness. Each
// lives in ops/<op>/ref.cpp and is the definition that every other backend is tested against.
#pragma once

#include "ops/backend.h"

namespace mica::ref {

void embed(Backend& backend, const EmbedParams& p);
void rms_norm(Backend& backend, const RmsNormParams& p);
void layer_norm(Backend& backend, const LayerNormParams& p);
void linear(Backend& backend, const LinearParams& p);
void rope_append(Backend& backend, const RopeAppendParams& p);
void attention(Backend& backend, const AttentionParams& p);
void activation(Backend& backend, const ActivationParams& p);
void add(Backend& backend, const Tensor& x, const Tensor& y);
void gather_rows(Backend& backend, const Tensor& x, const Tensor& rows, const Tensor& out);
void softcap(Backend& backend, const Tensor& x, float cap);
void moe_route(Backend& backend, const MoeRouteParams& p);
void moe_linear(Backend& backend, const MoeLinearParams& p);
void moe_combine(Backend& backend, const MoeCombineParams& p);
void sample(Backend& backend, const SampleParams& p);

}  // namespace mica::ref
