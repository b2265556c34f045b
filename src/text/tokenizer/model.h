// The model of a tokenizer: one pre-tokenized word into ids. Models are immutable; what a call
// needs besides is in `Scratch`, one for each call at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/vocab.h"

namespace mica::tok {

// Words seen before and their ids. Emptied when full.
class WordCache {
 public:
  // The cached ids, appended to `out`; false when the word is not there.
  bool find(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const;
  void add(std::string_view word, uint64_t hash, const int32_t* ids, size_t count);

 private:
  static constexpr size_t kSlots = 1 << 16, kMaxEntries = kSlots / 2, kMaxBytes = 4 << 20;
  static constexpr size_t kMaxWord = 256;
  struct Slot {
    uint64_t hash = 0;
    uint32_t word = 0, ids = 0;
    uint16_t length = 0, count = 0;  // length 0 = free
  };
  std::vector<Slot> slots_;
  std::string words_;
  std::vector<int32_t> ids_;
  size_t entries_ = 0;
};

struct BpeSymbol {
  int32_t id, prev, next;
  uint32_t length;  // bytes, 0 = merged away
};
struct BpeMerge {
  uint32_t rank, position;
  int32_t id;
};
struct UnigramBest {
  double score;
  int32_t id;
  uint32_t start;
};

struct Scratch {
  WordCache cache;
  std::vector<BpeSymbol> symbols;
  std::vector<BpeMerge> heap;
  std::vector<UnigramBest> best;
  std::vector<uint32_t> bounds;
  std::string text;
};

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of `word`, valid UTF-8 (raw bytes when `takes_raw_bytes`).
  // Throws Error(kCheckpoint) when the model lacks the unknown token that it needs.
  virtual void tokenize(std::string_view word, Scratch& scratch,
                        std::vector<int32_t>& out) const = 0;
  // The count that new tokens are numbered from.
  virtual size_t size() const { return vocab.size(); }
  // Words come as the bytes behind the byte-level alphabet (byte_level.h).
  virtual bool set_raw_bytes() { return false; }
  virtual void clear_raw_bytes() {}

  Vocab vocab;
};

struct BpeOptions {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix, end_of_word_suffix;
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
};

// The table of merges: (left id, right id) -> rank and merged id.
class MergeTable {
 public:
  struct Entry {
    uint64_t key;
    uint32_t rank;
    int32_t id;
  };
  void reserve(size_t merges);
  void add(int32_t left, int32_t right, uint32_t rank, int32_t id);  // a known pair is replaced
  const Entry* find(int32_t left, int32_t right) const {
    const uint64_t key = make_key(left, right);
    for (size_t at = slot(key);; at = (at + 1) & mask_) {
      if (entries_[at].key == key) return &entries_[at];
      if (entries_[at].key == kFree) return nullptr;
    }
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t make_key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot(uint64_t key) const { return (key ^ key >> 29) * 0x9E3779B97F4A7C15 >> 20 & mask_; }
  std::vector<Entry> entries_;
  size_t mask_ = 0;
};

struct Merge {
  std::string_view left, right;
};

std::unique_ptr<Model> make_bpe(Vocab vocab, const std::vector<Merge>& merges, BpeOptions options);

struct UnigramPiece {
  std::string token;
  double score;
};
std::unique_ptr<Model> make_unigram(std::vector<UnigramPiece> pieces, std::optional<int32_t> unk_id,
                                    bool byte_fallback);

struct WordPieceOptions {
  std::string unk_token = "[UNK]", continuing_subword_prefix = "##";
  size_t max_input_chars_per_word = 100;
};
std::unique_ptr<Model> make_word_piece(Vocab vocab, WordPieceOptions options);
std::unique_ptr<Model> make_word_level(Vocab vocab, std::string unk_token);

}  // namespace mica::tok
