// The tokens of a vocabulary as a trie of their bytes, laid out for one pass in order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/grammar/grammar.h"

namespace mica {

// Node 0 is the root, the nodes below a node follow it up to its `end`.
struct TokenTrie {
  struct Node {
    uint32_t end;     // behind the last node below
    uint32_t tokens;  // the tokens that end here: ids [tokens, next node's tokens)
    uint32_t depth;   // in bytes
    uint8_t byte;
    // Characters of the longest token here and below when all are plain, else kNotPlain.
    uint8_t plain;
    bool far;  // a token here or below has more than kNear bytes
  };
  static constexpr uint8_t kNotPlain = 255;
  static constexpr size_t kNear = 16;
  std::vector<Node> nodes;  // and one behind the last
  std::vector<int32_t> ids;
  std::vector<uint32_t> next_rest;  // by node: it or the first behind it that is not plain
  uint32_t max_depth = 0;
};

// A plain token: whole characters of UTF-8 that stand for themselves in a JSON string. Constraints
// that allow any plain text need not look at such tokens one by one.
constexpr int kMaxPlain = 64;  // characters of longer ones: not plain

struct TokenVocabulary::Impl {
  std::vector<std::string> bytes;
  std::vector<bool> is_end;
  std::vector<int32_t> end_ids;
  std::vector<bool> special;
  // What a grammar sees: special tokens are kTokenBegin name kTokenEnd; "": never possible.
  std::vector<std::string> text;
  std::unordered_map<std::string, int32_t> special_ids;  // by name
  TokenTrie trie;
  // plain[n]: the plain tokens of at most n + 1 characters, as a mask.
  std::array<std::vector<uint32_t>, kMaxPlain> plain;
  std::vector<uint32_t> near;  // the tokens of at most TokenTrie::kNear bytes, as a mask
  size_t words = 0;
};

}  // namespace mica
