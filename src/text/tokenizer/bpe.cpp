// Byte-pair encoding: byte-level, SentencePiece style with byte fallback, and the classic form with
// prefix and suffix.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/model.h"

namespace mica::tok {

bool WordCache::find(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const {
  if (slots_.empty()) return false;
  for (size_t at = hash & (kSlots - 1); slots_[at].length != 0; at = (at + 1) & (kSlots - 1)) {
    const Slot& s = slots_[at];
    if (s.hash != hash || std::string_view(words_.data() + s.word, s.length) != word) continue;
    out.insert(out.end(), ids_.begin() + s.ids, ids_.begin() + s.ids + s.count);
    return true;
  }
  return false;
}

void WordCache::add(std::string_view word, uint64_t hash, const int32_t* ids, size_t count) {
  if (word.empty() || word.size() > kMaxWord || count > std::numeric_limits<uint16_t>::max())
    return;
  if (entries_ >= kMaxEntries || words_.size() > kMaxBytes || slots_.empty()) {
    slots_.assign(kSlots, Slot());
    words_.clear();
    ids_.clear();
    entries_ = 0;
  }
  size_t at = hash & (kSlots - 1);
  while (slots_[at].length != 0) at = (at + 1) & (kSlots - 1);
  slots_[at] = {hash, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(ids_.size()),
                static_cast<uint16_t>(word.size()), static_cast<uint16_t>(count)};
  words_.append(word);
  ids_.insert(ids_.end(), ids, ids + count);
  entries_++;
}

void MergeTable::reserve(size_t merges) {
  entries_.assign(std::bit_ceil(std::max<size_t>(merges * 2, 16)), Entry{kFree, 0, 0});
  mask_ = entries_.size() - 1;
}

void MergeTable::add(int32_t left, int32_t right, uint32_t rank, int32_t id) {
  const uint64_t key = make_key(left, right);
  size_t at = slot(key);
  while (entries_[at].key != kFree && entries_[at].key != key) at = (at + 1) & mask_;
  entries_[at] = {key, rank, id};
}

namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581
constexpr size_t kShortWord = 64;                        // symbols; longer words use a heap

class Bpe : public Model {
 public:
  Bpe(Vocab words, const std::vector<Merge>& merges, BpeOptions options)
      : options_(std::move(options)) {
    vocab = std::move(words);
    merges_.reserve(merges.size());
    std::string joined;
    size_t near = 0;
    const size_t prefix = options_.continuing_subword_prefix.size();
    for (size_t rank = 0; rank < merges.size(); rank++) {
      const auto [left, right] = merges[rank];
      if (right.size() < prefix) fail_merge(rank, right);
      joined.assign(left);
      joined.append(right.substr(prefix));
      // Files list merges in the order of the tokens they make.
      const int32_t id = vocab.find_near(joined, near);
      if (id < 0) fail_merge(rank, joined);
      merges_.add(merge_id(rank, left), merge_id(rank, right), static_cast<uint32_t>(rank), id);
      may_split_ = may_split_ && mark_only_leads(joined);
    }
    may_split_ &= vocab.find(kSpaceMark).has_value() && plain();
    for (uint32_t byte = 0; byte < 256; byte++)
      fallback_ids_[byte] = vocab.find_or(fmt::format("<0x{:02X}>", byte), -1);
    for (size_t i = 0; i < ascii_ids_.size(); i++) {
      const char c = static_cast<char>(i);
      ascii_ids_[i] = vocab.find_or({&c, 1}, -1);
    }
    if (options_.unk_token) unk_id_ = vocab.find_or(*options_.unk_token, -1);
  }

  bool set_raw_bytes() override {
    raw_ = true;
    for (uint32_t byte = 0; byte < 256; byte++)
      byte_ids_[byte] =
          vocab.find_or(to_utf8(ByteAlphabet::get().to_char(static_cast<uint8_t>(byte))), -1);
    return true;
  }

  void clear_raw_bytes() override { raw_ = false; }

  void tokenize(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const override {
    if (word.empty()) return;
    if (may_split_ && !raw_ && word.size() > kSpaceMark.size())
      return tokenize_marked(word, scratch, out);
    tokenize_cached(word, scratch, out);
  }

 private:
  [[noreturn]] static void fail_merge(size_t rank, std::string_view token) {
    throw Error(
        ErrorKind::kCheckpoint,
        "[tokenizer] model.merges[{}]: expected tokens of the vocabulary, found '{}' which is "
        "not in it; is the file complete?",
        rank, token);
  }
  int32_t merge_id(size_t rank, std::string_view token) const {
    const int32_t id = vocab.find_or(token, -1);
    if (id < 0) fail_merge(rank, token);
    return id;
  }
  bool plain() const {
    return options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  }
  // No character before a mark is another one than a mark.
  static bool mark_only_leads(std::string_view token) {
    size_t at = 0;
    while (token.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
    return token.find(kSpaceMark, at) == std::string_view::npos;
  }

  // When no merge reaches over "x▁", the text falls apart there into words that the cache knows.
  void tokenize_marked(std::string_view text, Scratch& scratch, std::vector<int32_t>& out) const {
    if (options_.ignore_merges && text.size() <= vocab.longest()) {
      if (int32_t id = vocab.find_or(text, -1); id >= 0) return out.push_back(id);
    }
    const bool whole = options_.ignore_merges;
    for (size_t begin = 0; begin < text.size();) {
      size_t end = begin;
      while (text.substr(end).starts_with(kSpaceMark)) end += kSpaceMark.size();
      end = std::min(text.find(kSpaceMark, end), text.size());
      std::string_view word = text.substr(begin, end - begin);
      if (whole)
        merge_word(word, scratch, out);  // the cache holds whole texts only
      else
        tokenize_cached(word, scratch, out);
      begin = end;
    }
  }

  void tokenize_cached(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const {
    const uint64_t hash = hash_bytes(word);
    if (scratch.cache.find(word, hash, out)) return;
    const size_t before = out.size();
    if (!(options_.ignore_merges && find_whole(word, scratch, out))) merge_word(word, scratch, out);
    scratch.cache.add(word, hash, out.data() + before, out.size() - before);
  }

  bool find_whole(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const {
    if (word.size() > vocab.longest()) return false;
    if (raw_) {
      scratch.text.clear();
      ByteAlphabet::get().append_chars(scratch.text, word);
      word = scratch.text;
    }
    const int32_t id = vocab.find_or(word, -1);
    if (id >= 0) out.push_back(id);
    return id >= 0;
  }

  void merge_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const {
    std::vector<BpeSymbol>& symbols = scratch.symbols;
    symbols.clear();
    if (!(raw_ && plain() && split_bytes(word, symbols))) {
      if (raw_) {
        scratch.text.clear();
        ByteAlphabet::get().append_chars(scratch.text, word);
        word = scratch.text;
      }
      split_chars(word, symbols);
    }
    if (symbols.size() <= kShortWord)
      merge_short(symbols, out);
    else
      merge_long(symbols, scratch.heap, out);
  }

  bool split_bytes(std::string_view word, std::vector<BpeSymbol>& symbols) const {
    for (char c : word) {
      const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
      if (id < 0) return symbols.clear(), false;
      symbols.push_back({id, 0, 0, 1});
    }
    return true;
  }

  int32_t char_id(std::string_view text, size_t at, size_t length) const {
    if (plain()) {
      if (length == 1) return ascii_ids_[static_cast<uint8_t>(text[at])];
      return vocab.find_or(text.substr(at, length), -1);
    }
    return vocab.find_or(decorated(text, at, length), -1);
  }

  // The character with the prefix inside and the suffix at the end of the word.
  std::string decorated(std::string_view text, size_t at, size_t length) const {
    std::string token;
    if (at != 0) token = options_.continuing_subword_prefix;
    token.append(text.substr(at, length));
    if (at + length == text.size()) token += options_.end_of_word_suffix;
    return token;
  }

  // Characters to symbols. An unknown one becomes byte tokens when all of them exist, else <unk>. A
  // pending <unk> is written before the next known character, thus behind byte tokens between.
  void split_chars(std::string_view text, std::vector<BpeSymbol>& symbols) const {
    uint32_t pending = 0;  // bytes of the open <unk>
    const auto flush = [&] {
      if (pending > 0) symbols.push_back({unk_id_, 0, 0, pending});
      pending = 0;
    };
    for (size_t at = 0; at < text.size();) {
      const uint32_t length = utf8_length(text[at]);
      const int32_t id = char_id(text, at, length);
      if (id >= 0) {
        flush();
        symbols.push_back({id, 0, 0, length});
      } else if (!(options_.byte_fallback && fall_back(text, at, length, symbols)) &&
                 options_.unk_token) {
        if (unk_id_ < 0)
          throw Error(ErrorKind::kCheckpoint,
                      "[tokenizer] model.unk_token: expected a token of the vocabulary, found '{}' "
                      "which is not in it, and the text has an unknown character",
                      *options_.unk_token);
        if (!options_.fuse_unk) flush();
        pending += length;
      }
      at += length;
    }
    flush();
  }

  bool fall_back(std::string_view text, size_t at, uint32_t length,
                 std::vector<BpeSymbol>& symbols) const {
    const std::string token = decorated(text, at, length);
    for (char c : token)
      if (fallback_ids_[static_cast<uint8_t>(c)] < 0) return false;
    for (char c : token) symbols.push_back({fallback_ids_[static_cast<uint8_t>(c)], 0, 0, 1});
    return true;
  }

  // Repeatedly merges the leftmost pair of the lowest rank; the ranks of all pairs lie side by
  // side.
  void merge_short(const std::vector<BpeSymbol>& symbols, std::vector<int32_t>& out) const {
    constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
    size_t count = symbols.size();
    std::array<int32_t, kShortWord + 1> ids;
    std::array<uint32_t, kShortWord + 1> ranks;
    std::array<int32_t, kShortWord + 1> merged;
    const auto look = [&](size_t i) {
      const MergeTable::Entry* m = merges_.find(ids[i], ids[i + 1]);
      ranks[i] = m ? m->rank : kNone;
      merged[i] = m ? m->id : 0;
    };
    for (size_t i = 0; i < count; i++) ids[i] = symbols[i].id;
    for (size_t i = 0; i + 1 < count; i++) look(i);
    while (count > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < count; i++)
        if (ranks[i] < ranks[best]) best = i;
      if (ranks[best] == kNone) break;
      ids[best] = merged[best];
      count--;
      const size_t tail = count - best - 1;
      std::memmove(&ids[best + 1], &ids[best + 2], tail * sizeof(ids[0]));
      if (tail > 0) {
        std::memmove(&ranks[best + 1], &ranks[best + 2], (tail - 1) * sizeof(ranks[0]));
        std::memmove(&merged[best + 1], &merged[best + 2], (tail - 1) * sizeof(merged[0]));
        look(best);
      }
      if (best > 0) look(best - 1);
    }
    out.insert(out.end(), ids.begin(), ids.begin() + static_cast<ptrdiff_t>(count));
  }

  // The same order by a heap. An entry is stale when its pair does not merge to its id any more.
  void merge_long(std::vector<BpeSymbol>& symbols, std::vector<BpeMerge>& heap,
                  std::vector<int32_t>& out) const {
    const auto later = [](const BpeMerge& a, const BpeMerge& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
    };
    heap.clear();
    const auto count = static_cast<int32_t>(symbols.size());
    for (int32_t i = 0; i < count; i++) {
      symbols[i].prev = i - 1;
      symbols[i].next = i + 1 < count ? i + 1 : -1;
      if (i + 1 == count) break;
      if (const auto* m = merges_.find(symbols[i].id, symbols[i + 1].id))
        heap.push_back({m->rank, static_cast<uint32_t>(i), m->id});
    }
    std::make_heap(heap.begin(), heap.end(), later);
    const auto push = [&](int32_t left, int32_t right) {
      const auto* m = merges_.find(symbols[left].id, symbols[right].id);
      if (!m) return;
      heap.push_back({m->rank, static_cast<uint32_t>(left), m->id});
      std::push_heap(heap.begin(), heap.end(), later);
    };
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), later);
      const BpeMerge top = heap.back();
      heap.pop_back();
      BpeSymbol& left = symbols[top.position];
      if (left.length == 0 || left.next < 0) continue;
      BpeSymbol& right = symbols[left.next];
      const auto* m = merges_.find(left.id, right.id);
      if (!m || m->id != top.id) continue;
      left.id = top.id;
      left.length += right.length;
      right.length = 0;
      left.next = right.next;
      const auto at = static_cast<int32_t>(top.position);
      if (left.next >= 0) symbols[left.next].prev = at;
      if (left.prev >= 0) push(left.prev, at);
      if (left.next >= 0) push(at, left.next);
    }
    for (const BpeSymbol& s : symbols)
      if (s.length != 0) out.push_back(s.id);
  }

  BpeOptions options_;
  MergeTable merges_;
  bool raw_ = false;
  bool may_split_ = true;
  int32_t unk_id_ = -1;
  std::array<int32_t, 256> byte_ids_{};      // raw bytes: the id of the byte's character
  std::array<int32_t, 256> fallback_ids_{};  // <0x00> … <0xFF>
  std::array<int32_t, 128> ascii_ids_{};
};

}  // namespace

std::unique_ptr<Model> make_bpe(Vocab vocab, const std::vector<Merge>& merges, BpeOptions options) {
  return std::make_unique<Bpe>(std::move(vocab), merges, std::move(options));
}

}  // namespace mica::tok
