#include "bench/eval/windows.h"

#include <algorithm>

#include "base/error.h"

namespace mica {

std::vector<Window> windows_of(size_t tokens, const WindowOptions& options) {
  if (options.context <= options.prefix + 1)
    throw Error(ErrorKind::kUsage, "[eval] context: expected more than {} tokens, found {}",
                options.prefix + 1, options.context);
  const auto shown = static_cast<size_t>(options.context - options.prefix);
  if (options.stride < 1 || options.stride > options.context)
    throw Error(ErrorKind::kUsage, "[eval] stride: expected 1 to {} tokens, found {}",
                options.context, options.stride);
  const size_t stride = std::min(static_cast<size_t>(options.stride), shown);
  if (options.most_tokens > 0) tokens = std::min(tokens, static_cast<size_t>(options.most_tokens));
  const size_t alone = options.prefix > 0 ? 0 : 1;  // tokens with nothing before them
  if (tokens < alone + 1)
    throw Error(ErrorKind::kUsage, "[eval] the text has {} tokens, too few to predict one", tokens);
  std::vector<Window> windows;
  size_t scored = 0;
  for (size_t begin = 0; scored < tokens; begin += stride) {
    Window window{begin, std::min(begin + shown, tokens), std::max(scored, begin + alone)};
    scored = window.end;
    if (window.predicted() > 0) windows.push_back(window);
  }
  return windows;
}

}  // namespace mica
