// Post-processors: put special tokens around the ids of a text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mica::tok {

// The parts of an encoding. A processor may see the special tokens of an earlier one as parts.
using Encodings = std::vector<std::vector<int32_t>>;

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual void apply(Encodings& parts, bool add_special_tokens) const = 0;
};
using PostProcessorPtr = std::unique_ptr<PostProcessor>;

struct TemplatePiece {
  int sequence = -1;         // 0 = A, 1 = B, -1 = special tokens
  std::vector<int32_t> ids;  // of the special tokens
};
using Template = std::vector<TemplatePiece>;

PostProcessorPtr make_template(Template single, Template pair);
// [CLS] A [SEP]; further parts get `sep` behind them, and in front too when `sep_in_front`.
PostProcessorPtr make_cls_sep(int32_t cls, int32_t sep, bool sep_in_front);
PostProcessorPtr make_post_processor_sequence(std::vector<PostProcessorPtr> parts);

}  // namespace mica::tok
