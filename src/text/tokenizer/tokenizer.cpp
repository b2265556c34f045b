#include "text/tokenizer/tokenizer.h"

#include <simdjson.h>

#include <algorithm>

#include "base/error.h"
#include "text/tokenizer/tokenizer_impl.h"
#include "text/tokenizer/unicode.h"

namespace mica {

namespace tok {
bool is_valid_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}
}  // namespace tok

using tok::NormalText;
using tok::PieceList;
using tok::Scratch;
using tok::TokenSplit;

namespace {
constexpr size_t kMaxText = size_t{1} << 31;
constexpr size_t kMaxSpareScratch = 8;
}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

void Tokenizer::Impl::finish_loading() {
  if (pre_tokenizer && model->set_raw_bytes() && !pre_tokenizer->set_raw_bytes())
    model->clear_raw_bytes();
  if (!decoder) decoder = tok::make_blank_joiner();
}

std::string_view Tokenizer::Impl::token_text(int32_t id) const {
  if (const std::string* text = added.text(id)) return *text;
  return model->vocab.token(id);
}

std::unique_ptr<Scratch> Tokenizer::Impl::take_scratch() const {
  std::lock_guard lock(mutex);
  if (spare.empty()) return std::make_unique<Scratch>();
  std::unique_ptr<Scratch> scratch = std::move(spare.back());
  spare.pop_back();
  return scratch;
}

void Tokenizer::Impl::give_back(std::unique_ptr<Scratch> scratch) const {
  std::lock_guard lock(mutex);
  if (spare.size() < kMaxSpareScratch) spare.push_back(std::move(scratch));
}

void Tokenizer::Impl::encode_words(std::string_view text, size_t zero_length, Scratch& scratch,
                                   std::vector<int32_t>& ids) const {
  if (!pre_tokenizer) return model->tokenize(text, scratch, ids);
  PieceList list;
  list.text = text;
  list.zero_length = zero_length;
  list.pieces.push_back({0, static_cast<uint32_t>(text.size())});
  pre_tokenizer->apply(list);
  for (const tok::Piece& piece : list.pieces) model->tokenize(list[piece], scratch, ids);
}

// A stretch between added tokens that are looked for in the text as it is.
void Tokenizer::Impl::encode_segment(std::string_view text, bool at_front, Scratch& scratch,
                                     std::vector<int32_t>& ids) const {
  size_t zero_length = at_front ? tok::utf8_length(text[0]) : 0;
  NormalText normal;
  if (normalizer) {
    normal = {std::string(text), zero_length};
    normalizer->apply(normal);
    text = normal.text;
    zero_length = normal.zero_length;
    if (text.size() >= kMaxText) throw Error(ErrorKind::kUsage, "[tokenizer] the text is too long");
  }
  if (!added.has_normalized()) {
    if (!text.empty()) encode_words(text, zero_length, scratch, ids);
    return;
  }
  for (const TokenSplit& split : added.split_normalized(text)) {
    if (split.id >= 0)
      ids.push_back(split.id);
    else
      encode_words(text.substr(split.begin, split.end - split.begin),
                   zero_length > split.begin ? zero_length - split.begin : 0, scratch, ids);
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (text.size() >= kMaxText / 3)
    throw Error(ErrorKind::kUsage, "[tokenizer] expected a text below {} bytes, found {}",
                kMaxText / 3, text.size());
  std::string repaired;
  if (!tok::is_valid_utf8(text)) {
    tok::append_lossy(repaired, text, false);
    text = repaired;
  }
  std::vector<int32_t> ids;
  std::unique_ptr<Scratch> scratch = impl_->take_scratch();
  for (const TokenSplit& split : impl_->added.split_raw(text)) {
    if (split.id >= 0)
      ids.push_back(split.id);
    else
      impl_->encode_segment(text.substr(split.begin, split.end - split.begin), split.begin == 0,
                            *scratch, ids);
  }
  impl_->give_back(std::move(scratch));
  if (!impl_->post_processor) return ids;
  tok::Encodings parts(1);
  parts[0] = std::move(ids);
  impl_->post_processor->apply(parts, add_special_tokens);
  if (parts.size() == 1) return std::move(parts[0]);
  std::vector<int32_t> all;
  for (const std::vector<int32_t>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string out;
  const tok::DecodeStagePtr chain = impl_->decoder->start(tok::make_text_sink(out));
  for (int32_t id : ids)
    if (impl_->knows(id) && !(skip_special_tokens && impl_->is_skipped(id)))
      chain->add(impl_->token_text(id), true);
  chain->finish();
  return out;
}

int32_t Tokenizer::vocab_size() const {
  return std::max(impl_->model->vocab.id_limit(), impl_->added.id_limit());
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (std::optional<int32_t> id = impl_->added.id(token)) return id;
  return impl_->model->vocab.find(token);
}

std::string_view Tokenizer::id_to_token(int32_t id) const {
  if (const tok::AddedToken* token = impl_->added.token(id)) return token->content;
  return impl_->model->vocab.token(id);
}

bool Tokenizer::is_special(int32_t id) const {
  const tok::AddedToken* token = impl_->added.token(id);
  return token && token->special;
}

std::string Tokenizer::token_bytes(int32_t id) const {
  std::string bytes(impl_->token_text(id));
  if (!bytes.empty()) impl_->decoder->raw_bytes(bytes);
  return bytes;
}

struct StreamingDetokenizer::State {
  const Tokenizer::Impl* tokenizer;
  bool skip_special_tokens;
  std::string out;
  tok::DecodeStagePtr chain;

  std::string take() {
    std::string text;
    text.swap(out);
    return text;
  }
};

StreamingDetokenizer::StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special_tokens)
    : state_(std::make_unique<State>()) {
  state_->tokenizer = tokenizer.impl_.get();
  state_->skip_special_tokens = skip_special_tokens;
  state_->chain = tokenizer.impl_->decoder->start(tok::make_text_sink(state_->out));
}
StreamingDetokenizer::StreamingDetokenizer(StreamingDetokenizer&&) noexcept = default;
StreamingDetokenizer& StreamingDetokenizer::operator=(StreamingDetokenizer&&) noexcept = default;
StreamingDetokenizer::~StreamingDetokenizer() = default;

std::string StreamingDetokenizer::add(int32_t id) {
  const Tokenizer::Impl& tokenizer = *state_->tokenizer;
  if (tokenizer.knows(id) && !(state_->skip_special_tokens && tokenizer.is_skipped(id)))
    state_->chain->add(tokenizer.token_text(id), true);
  return state_->take();
}

std::string StreamingDetokenizer::finish() {
  if (!state_->chain) return "";
  state_->chain->finish();
  state_->chain.reset();
  return state_->take();
}

}  // namespace mica
