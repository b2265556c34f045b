// Unigram: the segmentation with the highest sum of scores (Viterbi over the pieces of a trie).
#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/unicode.h"

namespace mica::tok {
namespace {

constexpr double kUnkPenalty = 10.0;
constexpr uint32_t kNoStart = std::numeric_limits<uint32_t>::max();

// Prefix tree over bytes; the edges lie in one hash table keyed by (node, byte).
class Trie {
 public:
  explicit Trie(const std::vector<UnigramPiece>& pieces) : leaves_(1, -1) {
    grow(1024);
    for (size_t i = 0; i < pieces.size(); i++) insert(pieces[i].token, static_cast<int32_t>(i));
  }
  // The node behind `byte`, 0 when there is none (0 is the root).
  uint32_t child(uint32_t node, uint8_t byte) const {
    const uint64_t key = make_key(node, byte);
    for (size_t at = slot(key); edges_[at].node != 0; at = (at + 1) & mask_)
      if (edges_[at].key == key) return edges_[at].node;
    return 0;
  }
  int32_t leaf(uint32_t node) const { return leaves_[node]; }  // id, -1 for none

 private:
  struct Edge {
    uint64_t key = 0;
    uint32_t node = 0;  // 0 = free
  };
  static uint64_t make_key(uint32_t node, uint8_t byte) { return uint64_t{node} << 8 | byte; }
  size_t slot(uint64_t key) const { return key * 0x9E3779B97F4A7C15 >> 24 & mask_; }

  void insert(std::string_view token, int32_t id) {
    uint32_t node = 0;
    for (char c : token) {
      const auto byte = static_cast<uint8_t>(c);
      uint32_t next = child(node, byte);
      if (next == 0) {
        if (leaves_.size() * 2 > edges_.size()) grow(edges_.size() * 2);
        next = static_cast<uint32_t>(leaves_.size());
        leaves_.push_back(-1);
        put({make_key(node, byte), next});
      }
      node = next;
    }
    leaves_[node] = id;
  }
  void put(Edge edge) {
    size_t at = slot(edge.key);
    while (edges_[at].node != 0) at = (at + 1) & mask_;
    edges_[at] = edge;
  }
  void grow(size_t size) {
    std::vector<Edge> old(size);
    old.swap(edges_);
    mask_ = size - 1;
    for (const Edge& edge : old)
      if (edge.node != 0) put(edge);
  }

  std::vector<Edge> edges_;
  std::vector<int32_t> leaves_;
  size_t mask_ = 0;
};

class Unigram : public Model {
 public:
  Unigram(const std::vector<UnigramPiece>& pieces, std::optional<int32_t> unk_id,
          bool byte_fallback)
      : trie_(pieces), unk_id_(unk_id.value_or(-1)), byte_fallback_(byte_fallback) {
    size_t bytes = 0;
    for (const UnigramPiece& p : pieces) bytes += p.token.size();
    vocab.reserve(pieces.size(), bytes);
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < pieces.size(); i++) {
      vocab.add(pieces[i].token, static_cast<int32_t>(i));
      scores_.push_back(pieces[i].score);
      lowest = std::min(lowest, pieces[i].score);
    }
    unk_score_ = lowest - kUnkPenalty;
    for (uint32_t b = 0; b < 256; b++)
      fallback_ids_[b] = vocab.find_or(fmt::format("<0x{:02X}>", b), -1);
  }

  size_t size() const override { return scores_.size(); }

  void tokenize(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const override {
    if (word.empty()) return;
    const uint64_t hash = hash_bytes(word);
    if (scratch.cache.find(word, hash, out)) return;
    const size_t before = out.size();
    find_best(word, scratch.best);
    write_path(word, scratch, out);
    scratch.cache.add(word, hash, out.data() + before, out.size() - before);
  }

 private:
  // best[i]: the best way to write the first i bytes.
  void find_best(std::string_view word, std::vector<UnigramBest>& best) const {
    best.assign(word.size() + 1, UnigramBest{0.0, 0, kNoStart});
    const auto offer = [&best](size_t end, double score, int32_t id, size_t start) {
      UnigramBest& b = best[end];
      if (b.start == kNoStart || score > b.score) b = {score, id, static_cast<uint32_t>(start)};
    };
    for (size_t at = 0; at < word.size();) {
      const double here = best[at].score;
      const size_t length = utf8_length(word[at]);
      bool has_single = false;
      uint32_t node = 0;
      for (size_t end = at; end < word.size();) {
        node = trie_.child(node, static_cast<uint8_t>(word[end++]));
        if (node == 0) break;
        const int32_t id = trie_.leaf(node);
        if (id < 0) continue;
        offer(end, scores_[static_cast<size_t>(id)] + here, id, at);
        has_single |= end - at == length;
      }
      if (!has_single) {
        if (unk_id_ < 0) fail_unk();
        offer(at + length, unk_score_ + here, unk_id_, at);
      }
      at += length;
    }
  }

  [[noreturn]] static void fail_unk() {
    throw Error(
        ErrorKind::kCheckpoint,
        "[tokenizer] model.unk_id: expected the id of the unknown token, found null, and the "
        "text has an unknown character");
  }

  // Neighbouring unknown characters become one piece, then perhaps bytes.
  void write_path(std::string_view word, Scratch& scratch, std::vector<int32_t>& out) const {
    std::vector<uint32_t>& bounds = scratch.bounds;  // starts of the pieces, last first
    bounds.clear();
    bool after_unk = false;
    for (size_t end = word.size(); end > 0;) {
      const UnigramBest& b = scratch.best[end];
      const bool unk = b.id == unk_id_;
      if (unk && after_unk)
        bounds.back() = b.start;
      else
        bounds.push_back(b.start);
      after_unk = unk;
      end = b.start;
    }
    for (size_t i = bounds.size(); i-- > 0;) {
      const size_t end = i == 0 ? word.size() : bounds[i - 1];
      write_piece(word.substr(bounds[i], end - bounds[i]), out);
    }
  }

  void write_piece(std::string_view piece, std::vector<int32_t>& out) const {
    const int32_t id = vocab.find_or(piece, -1);
    if (id >= 0) return out.push_back(id);
    const auto known = [this](char c) { return fallback_ids_[static_cast<uint8_t>(c)] >= 0; };
    if (byte_fallback_ && std::all_of(piece.begin(), piece.end(), known)) {
      for (char c : piece) out.push_back(fallback_ids_[static_cast<uint8_t>(c)]);
      return;
    }
    if (unk_id_ < 0) fail_unk();
    out.push_back(unk_id_);
  }

  Trie trie_;
  std::vector<double> scores_;
  std::array<int32_t, 256> fallback_ids_{};
  int32_t unk_id_;
  double unk_score_ = 0;
  bool byte_fallback_;
};

}  // namespace

std::unique_ptr<Model> make_unigram(std::vector<UnigramPiece> pieces, std::optional<int32_t> unk_id,
                                    bool byte_fallback) {
  return std::make_unique<Unigram>(pieces, unk_id, byte_fallback);
}

}  // namespace mica::tok
