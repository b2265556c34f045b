// The parts of a loaded tokenizer, behind tokenizer.h.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/tokenizer.h"

namespace mica {

struct Tokenizer::Impl {
  std::unique_ptr<tok::Model> model;
  tok::NormalizerPtr normalizer;  // may be null, like the next two
  tok::PreTokenizerPtr pre_tokenizer;
  tok::PostProcessorPtr post_processor;
  tok::DecoderPtr decoder;
  tok::AddedVocabulary added;

  static std::unique_ptr<Impl> from_json(std::string_view json);
  void apply_config(const std::filesystem::path& directory);
  void finish_loading();

  std::string_view token_text(int32_t id) const;  // as decoded; "" when unknown
  bool knows(int32_t id) const { return added.token(id) || model->vocab.has_id(id); }
  bool is_skipped(int32_t id) const { return added.is_special_text(token_text(id)); }

  void encode_segment(std::string_view text, bool at_front, tok::Scratch& scratch,
                      std::vector<int32_t>& ids) const;
  void encode_words(std::string_view text, size_t zero_length, tok::Scratch& scratch,
                    std::vector<int32_t>& ids) const;

  std::unique_ptr<tok::Scratch> take_scratch() const;
  void give_back(std::unique_ptr<tok::Scratch> scratch) const;

  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<tok::Scratch>> spare;  // with warm caches
};

}  // namespace mica
