#include "text/grammar/vocabulary.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "text/grammar/code_points.h"
#include "text/grammar/expression.h"

namespace mica {
namespace {

using Impl = TokenVocabulary::Impl;

// Characters of a plain token, or kNotPlain.
uint8_t plain_length(const std::string& text) {
  std::vector<uint32_t> characters;
  if (text.empty() || !grammar::decode_utf8(text, characters) || characters.size() > kMaxPlain)
    return TokenTrie::kNotPlain;
  for (const uint32_t c : characters)
    if (c < 0x20 || c == '"' || c == '\\') return TokenTrie::kNotPlain;
  return static_cast<uint8_t>(characters.size());
}

size_t common_prefix(const std::string& a, const std::string& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

void build_trie(Impl& impl) {
  TokenTrie& trie = impl.trie;
  for (size_t id = 0; id < impl.text.size(); id++)
    if (!impl.text[id].empty()) trie.ids.push_back(static_cast<int32_t>(id));
  const auto text = [&](int32_t id) -> const std::string& {
    return impl.text[static_cast<size_t>(id)];
  };
  std::stable_sort(trie.ids.begin(), trie.ids.end(),
                   [&](int32_t a, int32_t b) { return text(a) < text(b); });
  std::vector<uint32_t> path{0};  // nodes from the root to the last one
  trie.nodes.push_back({0, 0, 0, 0, 0, false});
  const std::string none;
  for (size_t i = 0; i < trie.ids.size(); i++) {
    const std::string& now = text(trie.ids[i]);
    const std::string& before = i ? text(trie.ids[i - 1]) : none;
    const size_t shared = common_prefix(before, now);
    const uint8_t plain = plain_length(now);
    while (path.size() > shared + 1) {
      trie.nodes[path.back()].end = static_cast<uint32_t>(trie.nodes.size());
      path.pop_back();
    }
    for (size_t at = shared; at < now.size(); at++) {
      path.push_back(static_cast<uint32_t>(trie.nodes.size()));
      trie.nodes.push_back({0, static_cast<uint32_t>(i), static_cast<uint32_t>(at + 1),
                            static_cast<uint8_t>(now[at]), 0, false});
    }
    trie.max_depth = std::max(trie.max_depth, static_cast<uint32_t>(now.size()));
    for (const uint32_t node : path) {
      trie.nodes[node].plain = std::max(trie.nodes[node].plain, plain);
      trie.nodes[node].far |= now.size() > TokenTrie::kNear;
    }
  }
  const auto count = static_cast<uint32_t>(trie.nodes.size());
  for (const uint32_t node : path) trie.nodes[node].end = count;
  trie.nodes.push_back({count, static_cast<uint32_t>(trie.ids.size()), 0, 0, 0, false});
  trie.next_rest.resize(count + 1, count);
  for (uint32_t i = count; i-- > 0;)
    trie.next_rest[i] = trie.nodes[i].plain == TokenTrie::kNotPlain ? i : trie.next_rest[i + 1];
}

void build_near_mask(Impl& impl) {
  impl.near.assign(impl.words, 0);
  for (const int32_t id : impl.trie.ids)
    if (impl.text[static_cast<size_t>(id)].size() <= TokenTrie::kNear)
      impl.near[static_cast<size_t>(id) / 32] |= 1u << id % 32;
}

void build_plain_masks(Impl& impl) {
  for (auto& mask : impl.plain) mask.assign(impl.words, 0);
  for (const int32_t id : impl.trie.ids) {
    const uint8_t length = plain_length(impl.text[static_cast<size_t>(id)]);
    if (length != TokenTrie::kNotPlain)
      impl.plain[length - 1u][static_cast<size_t>(id) / 32] |= 1u << id % 32;
  }
  for (size_t i = 1; i < impl.plain.size(); i++)
    for (size_t word = 0; word < impl.words; word++) impl.plain[i][word] |= impl.plain[i - 1][word];
}

}  // namespace

TokenVocabulary::TokenVocabulary(std::vector<std::string> token_bytes, std::vector<int32_t> end_ids,
                                 std::vector<bool> special)
    : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  impl.bytes = std::move(token_bytes);
  if (impl.bytes.size() > INT32_MAX)
    throw Error(ErrorKind::kUsage, "[grammar] {} tokens: too many", impl.bytes.size());
  impl.words = (impl.bytes.size() + 31) / 32;
  impl.special = std::move(special);
  impl.special.resize(impl.bytes.size(), false);
  impl.is_end.assign(impl.bytes.size(), false);
  for (const int32_t id : end_ids) {
    if (id < 0 || static_cast<size_t>(id) >= impl.bytes.size()) continue;
    if (!impl.is_end[static_cast<size_t>(id)]) impl.end_ids.push_back(id);
    impl.is_end[static_cast<size_t>(id)] = true;
  }
  impl.text.resize(impl.bytes.size());
  for (size_t id = 0; id < impl.bytes.size(); id++) {
    const std::string& bytes = impl.bytes[id];
    if (impl.is_end[id] || bytes.empty()) continue;
    if (impl.special[id]) {
      impl.text[id] = grammar::kTokenBegin + bytes + grammar::kTokenEnd;
      impl.special_ids.emplace(bytes, static_cast<int32_t>(id));
    } else if (bytes.find(grammar::kTokenBegin) == std::string::npos &&
               bytes.find(grammar::kTokenEnd) == std::string::npos) {
      impl.text[id] = bytes;  // 0xFE and 0xFF are never part of UTF-8
    }
  }
  build_trie(impl);
  build_plain_masks(impl);
  build_near_mask(impl);
}

TokenVocabulary::~TokenVocabulary() = default;

int32_t TokenVocabulary::size() const {
  return static_cast<int32_t>(impl_->bytes.size());
}
size_t TokenVocabulary::mask_words() const {
  return impl_->words;
}
const std::vector<int32_t>& TokenVocabulary::end_ids() const {
  return impl_->end_ids;
}

bool TokenVocabulary::is_end(int32_t token) const {
  return token >= 0 && token < size() && impl_->is_end[static_cast<size_t>(token)];
}

std::string_view TokenVocabulary::bytes(int32_t token) const {
  if (token < 0 || token >= size()) return {};
  return impl_->bytes[static_cast<size_t>(token)];
}

}  // namespace mica
