// Every operation of the CPU backend; each is defined in its folder's cpu.cpp.
#pragma once

#include "ops/backend.h"

namespace mica::cpu {

void embed(Backend&, const EmbedParams&);
void rms_norm(Backend&, const RmsNormParams&);
void layer_norm(Backend&, const LayerNormParams&);
void linear(Backend&, const LinearParams&);
void rope_append(Backend&, const RopeAppendParams&);
void attention(Backend&, const AttentionParams&);
void activation(Backend&, const ActivationParams&);
void add(Backend&, const Tensor& x, const Tensor& y);
void gather_rows(Backend&, const Tensor& x, const Tensor& rows, const Tensor& out);
void softcap(Backend&, const Tensor& x, float cap);
void moe_route(Backend&, const MoeRouteParams&);
void moe_linear(Backend&, const MoeLinearParams&);
void moe_combine(Backend&, const MoeCombineParams&);
void sample(Backend&, const SampleParams&);

}  // namespace mica::cpu

namespace mica {

const Ops& cpu_ops();  // the whole table

}  // namespace mica
