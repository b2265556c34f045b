// The parts of tokenizer.json, each from its JSON. All throw Error(kCheckpoint) with the place.
#pragma once

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/json_view.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace mica::tok {

std::unique_ptr<Model> load_model(const JsonView& json);
NormalizerPtr load_normalizer(const JsonView& json, int depth = 0);
PreTokenizerPtr load_pre_tokenizer(const JsonView& json, int depth = 0);
PostProcessorPtr load_post_processor(const JsonView& json, int depth = 0);
DecoderPtr load_decoder(const JsonView& json, int depth = 0);
AddedToken load_added_token(const JsonView& json);
// The root of a JSON text; `parser` must outlive it.
simdjson::dom::element parse_json(simdjson::dom::parser& parser, std::string_view json);

// Parsed tokenizers nest a handful of levels; deeper files are refused.
constexpr int kMaxPartDepth = 20;

}  // namespace mica::tok
