#include "text/tokenizer/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {

void WordFinder::add(std::string_view word, int32_t id) {
  if (word.empty()) return;
  uint32_t node = 0;
  for (char c : word) {
    const auto byte = static_cast<uint8_t>(c);
    auto& edges = nodes_[node].edges;
    auto it = std::lower_bound(edges.begin(), edges.end(), std::pair<uint8_t, uint32_t>(byte, 0));
    if (it == edges.end() || it->first != byte) {
      const auto fresh = static_cast<uint32_t>(nodes_.size());
      edges.insert(it, {byte, fresh});
      nodes_.emplace_back();
      node = fresh;
    } else {
      node = it->second;
    }
  }
  nodes_[node].id = id;
  first_[static_cast<uint8_t>(word[0])] = true;
}

std::optional<WordFinder::Found> WordFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); begin++) {
    if (!first_[static_cast<uint8_t>(text[begin])]) continue;
    std::optional<Found> found;
    uint32_t node = 0;
    for (size_t at = begin; at < text.size();) {
      const auto byte = static_cast<uint8_t>(text[at++]);
      const auto& edges = nodes_[node].edges;
      auto it = std::lower_bound(edges.begin(), edges.end(), std::pair<uint8_t, uint32_t>(byte, 0));
      if (it == edges.end() || it->first != byte) break;
      node = it->second;
      if (nodes_[node].id >= 0) found = Found{begin, at, nodes_[node].id};
    }
    if (found) return found;
  }
  return std::nullopt;
}

void AddedVocabulary::add(const std::vector<AddedToken>& tokens, const Model& model,
                          const Normalizer* normalizer) {
  const auto model_size = static_cast<int64_t>(model.size());
  int64_t next_id = model_size;
  if (!tokens_.empty() && (tokens_.rbegin()->first >= model_size || model_size == 0))
    next_id = int64_t{tokens_.rbegin()->first} + 1;
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    std::optional<int32_t> known = id(token.content);
    if (known && *this->token(*known) == token) continue;
    if (!known) known = model.vocab.find(token.content);
    if (!known && next_id >= kMaxTokenId)
      throw Error(ErrorKind::kCheckpoint,
                  "[tokenizer] added_tokens: expected ids below {}, found {}", kMaxTokenId,
                  next_id);
    const int32_t token_id = known ? *known : static_cast<int32_t>(next_id++);
    if (token.normalized && normalizer) {
      NormalText normal{token.content, 0};
      normalizer->apply(normal);
      if (normal.text != token.content) normalized_texts_[token_id] = std::move(normal.text);
    }
    ids_[token.content] = token_id;
    if (token.special) special_[token.content] = true;
    tokens_[token_id] = token;
  }
  rebuild_finders();
}

void AddedVocabulary::rebuild_finders() {
  raw_ = normalized_ = WordFinder();
  for (auto it = tokens_.rbegin(); it != tokens_.rend(); ++it) {
    const auto& [id, token] = *it;
    if (!token.normalized)
      raw_.add(token.content, id);
    else
      normalized_.add(*text(id), id);
  }
  // Of tokens with one normalized form (the reference picks any) the one wins that is this form,
  // else the first.
  for (const auto& [id, token] : tokens_)
    if (token.normalized && !normalized_texts_.contains(id)) normalized_.add(token.content, id);
}

std::optional<int32_t> AddedVocabulary::id(std::string_view content) const {
  auto it = ids_.find(content);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

const AddedToken* AddedVocabulary::token(int32_t id) const {
  auto it = tokens_.find(id);
  return it == tokens_.end() ? nullptr : &it->second;
}

const std::string* AddedVocabulary::text(int32_t id) const {
  const AddedToken* found = token(id);
  if (!found) return nullptr;
  auto it = normalized_texts_.find(id);
  return it == normalized_texts_.end() ? &found->content : &it->second;
}

bool AddedVocabulary::is_special_text(std::string_view text) const {
  return special_.find(text) != special_.end();
}

namespace {

bool is_word_at(std::string_view text, size_t at) {
  uint32_t length;
  return is_rust_word(decode_utf8(text.data() + at, length));
}

size_t space_begin(std::string_view text, size_t end) {
  while (end > 0) {
    uint32_t length;
    const size_t last = previous_char(text, end);
    if (!is_whitespace(decode_utf8(text.data() + last, length))) break;
    end = last;
  }
  return end;
}

size_t space_end(std::string_view text, size_t begin) {
  uint32_t length;
  while (begin < text.size() && is_whitespace(decode_utf8(text.data() + begin, length)))
    begin += length;
  return begin;
}

}  // namespace

std::vector<TokenSplit> AddedVocabulary::split(std::string_view text,
                                               const WordFinder& finder) const {
  std::vector<TokenSplit> out;
  size_t done = 0, from = 0;
  while (std::optional<WordFinder::Found> found = finder.find(text, from)) {
    auto [begin, end, id] = *found;
    from = end;
    const AddedToken& token = tokens_.at(id);
    if (ignore_special_ && is_special_text(token.content)) continue;
    if (token.single_word && ((begin > 0 && is_word_at(text, previous_char(text, begin))) ||
                              (end < text.size() && is_word_at(text, end))))
      continue;
    // The white space may already belong to the token before.
    if (token.lstrip) begin = std::max(space_begin(text, begin), done);
    if (token.rstrip) end = space_end(text, end);
    if (done < begin) out.push_back({done, begin, -1});
    if (begin < end) out.push_back({begin, end, id});
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
  return out;
}

}  // namespace mica::tok
