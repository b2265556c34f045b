// Bytes that are no GGUF file, or one that lies.
#include <gtest/gtest.h>

#include <functional>

#include "checkpoint/gguf/gguf_test.h"

namespace mica {
namespace {

std::string error_of(const std::string& bytes) {
  return error_message([&] { header_of(bytes); });
}

void expect_error(const std::string& bytes, const std::string& part) {
  const std::string error = error_of(bytes);
  EXPECT_NE(error.find(part), std::string::npos) << "expected: " << part << "\nfound: " << error;
  EXPECT_EQ(error.rfind("[gguf] f.gguf: ", 0), 0u) << error;
}

// Builds a header by hand, with whatever values.
class Bytes {
 public:
  explicit Bytes(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    text_ = "GGUF";
    u32(version).u64(tensors).u64(keys);
  }
  Bytes& u32(uint32_t value) { return put(&value, sizeof value); }
  Bytes& u64(uint64_t value) { return put(&value, sizeof value); }
  Bytes& string(const std::string& value) {
    u64(value.size());
    text_ += value;
    return *this;
  }
  Bytes& tensor(const std::string& name, std::initializer_list<uint64_t> dimensions, uint32_t type,
                uint64_t offset) {
    string(name).u32(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t dimension : dimensions) u64(dimension);
    return u32(type).u64(offset);
  }
  // With zeros behind it.
  std::string with_data(size_t bytes) const {
    return text_ + std::string((32 - text_.size() % 32) % 32 + bytes, '\0');
  }
  operator std::string() const { return text_; }

 private:
  Bytes& put(const void* data, size_t bytes) {
    text_.append(static_cast<const char*>(data), bytes);
    return *this;
  }
  std::string text_;
};

TEST(GgufHostile, OtherFiles) {
  expect_error("", "expected 4 bytes, found 0");
  expect_error("GG", "truncated");
  expect_error("PK\x03\x04 and more", "expected the letters GGUF, found 'PK");
  expect_error(Bytes(0, 0, 1), "version 1, of 2023");
  expect_error(Bytes(0, 0, 4), "expected version 2 or 3, found 4");
  expect_error(Bytes(0, 0, 3u << 24), "big-endian");
  EXPECT_EQ(error_of(Bytes(0, 0)), "");
}

TEST(GgufHostile, Counts) {
  expect_error(Bytes(uint64_t{1} << 60, 0), "at most 1000000 tensors");
  expect_error(Bytes(0, uint64_t{1} << 60), "at most 100000 keys");
  expect_error(Bytes(0, 5), "5 keys, found the file's end");
  expect_error(Bytes(1, 0).u64(7), "1 tensors, found the file's end");
  expect_error(Bytes(0, 1).u64(~uint64_t{0}).u64(0), "at most 65535 bytes of text");
  expect_error(Bytes(0, 1).u64(1000).u64(0), "key 1 of 1, byte 32: expected 1000 bytes of text");
}

TEST(GgufHostile, Values) {
  expect_error(Bytes(0, 1).string("k").u32(13).u64(0), "key 'k', byte 37: expected a value type");
  expect_error(Bytes(0, 1).string("k").u32(4), "expected 4 bytes, found 0");
  expect_error(Bytes(0, 1).string("k").u32(9).u32(4).u64(~uint64_t{0}), "array items");
  expect_error(Bytes(0, 1).string("k").u32(9).u32(8).u64(1'000'000), "1000000 array items, found");
  expect_error(Bytes(0, 1).string("k").u32(7).u32(2), "a bool of 0 or 1, found 2");
  expect_error(Bytes(0, 2).string("k").u32(4).u32(1).string("k").u32(4).u32(1),
               "expected each key once");
  Bytes nested = Bytes(0, 1).string("k").u32(9);
  for (int depth = 0; depth < 6; ++depth) nested.u32(9).u64(1);
  expect_error(nested.u32(4).u64(0), "arrays nested 4 deep at most");
}

TEST(GgufHostile, Alignment) {
  for (const uint32_t bad : {0u, 3u, 1u << 30})
    expect_error(Bytes(0, 1).string("general.alignment").u32(4).u32(bad), "power of two");
  expect_error(Bytes(0, 1).string("general.alignment").u32(8).string("32"), "power of two");
  const Bytes good = Bytes(1, 1).string("general.alignment").u32(4).u32(64);
  expect_error(Bytes(good).tensor("t", {1}, 0, 32).with_data(200), "multiple of 64, found 32");
  EXPECT_EQ(error_of(Bytes(good).tensor("t", {1}, 0, 64).with_data(200)), "");
}

TEST(GgufHostile, Tensors) {
  const auto one = [](std::initializer_list<uint64_t> dimensions, uint32_t type, uint64_t offset) {
    return Bytes(1, 0).tensor("t", dimensions, type, offset).with_data(64);
  };
  EXPECT_EQ(error_of(one({16}, 0, 0)), "");
  EXPECT_EQ(error_of(one({}, 0, 32)), "");
  EXPECT_EQ(error_of(one({0, 5}, 0, 0)), "");
  expect_error(one({17}, 0, 0),
               "expected 68 bytes at 0 of the data, file has 64 in all; truncated");
  expect_error(one({8}, 0, 64), "truncated");
  expect_error(one({8}, 0, ~uint64_t{31}), "truncated");
  expect_error(one({8}, 0, 4), "multiple of 32, found 4");
  expect_error(one({1, 1, 1, 1, 1}, 0, 0), "at most 4 dimensions");
  expect_error(one({8}, 4, 0), "an element type that is in use, found 4");
  expect_error(one({8}, 99, 0), "an element type that is in use, found 99");
  expect_error(one({33}, 2, 0), "rows of a multiple of 32 for Q4_0, found 33");
  expect_error(one({uint64_t{1} << 49}, 0, 0), "expected a dimension");
  expect_error(one({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0), "less than 2^58 elements");
  expect_error(one({0, uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0), "less than 2^58 elements");
  expect_error(Bytes(2, 0).tensor("t", {4}, 0, 0).tensor("t", {4}, 0, 32).with_data(64),
               "tensor 't'");
  expect_error(Bytes(2, 0).tensor("a", {16}, 0, 0).tensor("b", {4}, 0, 32).with_data(64),
               "'b' overlaps 'a'");
}

std::string small_file() {
  const TempFolder folder;
  return write_gguf(folder.path() / "s.gguf",
                    {{"general.architecture", gguf_string("llama")},
                     {"general.alignment", gguf_u32(32)},
                     {"llama.block_count", gguf_u32(2)},
                     {"tokens", gguf_strings({"a", "b"})}},
                    {{"a.weight", GgufType::kQ8_0, {2, 64}}, {"b", GgufType::kF32, {3}}});
}

TEST(GgufHostile, EveryPrefixIsRefused) {
  const std::string whole = small_file();
  ASSERT_EQ(error_of(whole), "");
  for (size_t length = 0; length + 32 < whole.size(); ++length)
    EXPECT_NE(error_of(whole.substr(0, length)), "") << length;
}

TEST(GgufHostile, ChangedBytesAreRefusedOrHarmless) {
  const std::string whole = small_file();
  for (size_t at = 0; at < header_of(whole).data_begin; ++at)
    for (const int change : {1, 2, 64, 127, 255}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const std::string error = error_of(changed);
      EXPECT_TRUE(error.empty() || error.rfind("[gguf]", 0) == 0) << at << ": " << error;
    }
}

}  // namespace
}  // namespace mica
