// How the shapes of weight, scales and biases tell the quantization scheme, and their check.
#pragma once

#include <optional>

#include "tensor/quantization.h"

namespace mica {

// Whether weight and scales have the widths and dtypes of the scheme for weights.columns.
bool fits(const LinearWeights& weights, const QuantScheme& scheme);

// The scheme that the stored widths mean for weights.columns, if there is one.
std::optional<QuantScheme> infer_scheme(const LinearWeights& weights);

// The same without knowing the columns: only weight and scales are looked at. The stated schemes
// are preferred where they fit.
QuantScheme summarize_scheme(const LinearWeights& weights, std::optional<QuantScheme> named,
                             std::optional<QuantScheme> general);

// Checks every tensor of a layer against its scheme, experts, rows and columns, and gives a stack
// of one expert the shape of a matrix. Throws Error(kCheckpoint).
void check_shapes(LinearWeights& weights);

}  // namespace mica
