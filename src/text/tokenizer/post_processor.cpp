#include "text/tokenizer/post_processor.h"

namespace mica::tok {
namespace {

class TemplateProcessor : public PostProcessor {
 public:
  TemplateProcessor(Template single, Template pair)
      : single_(std::move(single)), pair_(std::move(pair)) {}

  void apply(Encodings& parts, bool add_special_tokens) const override {
    Encodings out;
    for (const TemplatePiece& piece : parts.size() == 2 ? pair_ : single_) {
      if (piece.sequence < 0) {
        if (add_special_tokens) out.push_back(piece.ids);
      } else if (static_cast<size_t>(piece.sequence) < parts.size()) {
        out.push_back(parts[static_cast<size_t>(piece.sequence)]);
      }
    }
    parts = std::move(out);
  }

 private:
  Template single_, pair_;
};

class ClsSepProcessor : public PostProcessor {
 public:
  ClsSepProcessor(int32_t cls, int32_t sep, bool sep_in_front)
      : cls_(cls), sep_(sep), sep_in_front_(sep_in_front) {}

  void apply(Encodings& parts, bool add_special_tokens) const override {
    if (!add_special_tokens) return;
    for (size_t i = 0; i < parts.size(); i++) {
      if (i == 0 || sep_in_front_) parts[i].insert(parts[i].begin(), i == 0 ? cls_ : sep_);
      parts[i].push_back(sep_);
    }
  }

 private:
  int32_t cls_, sep_;
  bool sep_in_front_;
};

class PostProcessorSequence : public PostProcessor {
 public:
  explicit PostProcessorSequence(std::vector<PostProcessorPtr> parts) : parts_(std::move(parts)) {}
  void apply(Encodings& encodings, bool add_special_tokens) const override {
    for (const PostProcessorPtr& part : parts_) part->apply(encodings, add_special_tokens);
  }

 private:
  std::vector<PostProcessorPtr> parts_;
};

}  // namespace

PostProcessorPtr make_template(Template single, Template pair) {
  return std::make_unique<TemplateProcessor>(std::move(single), std::move(pair));
}
PostProcessorPtr make_cls_sep(int32_t cls, int32_t sep, bool sep_in_front) {
  return std::make_unique<ClsSepProcessor>(cls, sep, sep_in_front);
}
PostProcessorPtr make_post_processor_sequence(std::vector<PostProcessorPtr> parts) {
  return std::make_unique<PostProcessorSequence>(std::move(parts));
}

}  // namespace mica::tok
