// How a long text is shown to a model of limited context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mica {

struct WindowOptions {
  int32_t context = 2048;  // tokens at once, with the prefix
  // Tokens by which windows lie apart: all but the first window's tokens are predicted from at
  // least context - stride before them. At most `context`, which means windows side by side.
  int32_t stride = 1024;
  int32_t prefix = 0;       // tokens that begin each window (a BOS) and are not predicted
  int64_t most_tokens = 0;  // of the text; 0 = all
};

// Tokens [begin, end) are shown behind the prefix; those of [scored, end) are predicted.
struct Window {
  size_t begin = 0, end = 0, scored = 0;
  size_t predicted() const { return end - scored; }
};

// Every token is predicted once; where there is no prefix, not the first of the text and, with
// windows side by side, not the first of a window. Throws Error(kUsage) for options that leave
// nothing to predict.
std::vector<Window> windows_of(size_t tokens, const WindowOptions& options);

}  // namespace mica
