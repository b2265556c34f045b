#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "checkpoint/test_files.h"
#include "test_data.h"

namespace mica {
namespace {

// The bytes of a file with this header text and this many bytes of data.
std::string file_with(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + std::string(data_bytes, 'x');
}

std::string error_of(const std::string& bytes) {
  return error_message([&] {
    parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size(), "f.safetensors");
  });
}

TEST(Safetensors, ReadsEveryDTypeOfThePythonLibrary) {
  const SafetensorsFile file(source_path("tests/golden/checkpoint/dtypes.safetensors"));
  EXPECT_EQ(file.header().metadata.at("maker"), "safetensors");
  const std::pair<const char*, DType> expected[] = {{"t.float32", DType::kF32},
                                                    {"t.float16", DType::kF16},
                                                    {"t.bfloat16", DType::kBF16},
                                                    {"t.float64", DType::kF64}};
  for (const auto& [name, dtype] : expected) {
    const SafetensorsEntry* entry = file.find(name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(entry->dtype, dtype) << name;
    EXPECT_EQ(entry->shape, (Shape{2, 3})) << name;
    float values[6];
    to_f32(file.view(*entry).data, dtype, 6, values);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(values[i], static_cast<float>(i)) << name;
  }
  const auto integers = [&]<typename T>(const char* name, DType dtype, T) {
    const SafetensorsEntry* entry = file.find(name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(entry->dtype, dtype) << name;
    for (int i = 0; i < 6; ++i) EXPECT_EQ(file.view(*entry).as<T>()[i], static_cast<T>(i)) << name;
  };
  integers("t.int64", DType::kI64, int64_t{});
  integers("t.uint64", DType::kI64, int64_t{});
  integers("t.int32", DType::kI32, int32_t{});
  integers("t.uint32", DType::kU32, uint32_t{});
  integers("t.int16", DType::kI16, int16_t{});
  integers("t.uint16", DType::kU16, uint16_t{});
  integers("t.int8", DType::kI8, int8_t{});
  integers("t.uint8", DType::kU8, uint8_t{});
  EXPECT_EQ(file.view(*file.find("t.bool")).as<uint8_t>()[1], 1);
  EXPECT_EQ(file.find("empty")->shape, (Shape{0, 4}));
  EXPECT_EQ(file.find("empty")->bytes, 0u);
  EXPECT_EQ(file.find("scalar")->shape.rank(), 0);
  EXPECT_EQ(*file.view(*file.find("scalar")).as<float>(), 2.5f);
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(Safetensors, ReadsBackWhatItWrites) {
  const TempFolder folder;
  std::vector<uint8_t> bytes = {1, 2, 3};
  std::vector<float> floats = {1.5f, -2, 3, 4};
  std::vector<uint16_t> halves = {0x3f80, 0x4000};
  std::vector<int64_t> longs = {-1, int64_t{1} << 40};
  write_safetensors(folder.path() / "a.safetensors",
                    {{"z.bytes", {bytes.data(), DType::kU8, {3}}},
                     {"a.halves", {halves.data(), DType::kBF16, {2, 1}}},
                     {"m.floats", {floats.data(), DType::kF32, {2, 2}}},
                     {"l\"ongs\n", {longs.data(), DType::kI64, {2}}}},
                    {{"format", "mlx"}, {"who", "mica"}});
  const SafetensorsFile file(folder.path() / "a.safetensors");
  EXPECT_EQ(file.header().metadata.at("who"), "mica");
  EXPECT_EQ(file.header().data_begin % 8, 0u);
  ASSERT_EQ(file.header().entries.size(), 4u);
  EXPECT_EQ(file.view(*file.find("z.bytes")).as<uint8_t>()[2], 3);
  EXPECT_EQ(file.view(*file.find("a.halves")).as<uint16_t>()[1], 0x4000);
  EXPECT_EQ(file.view(*file.find("m.floats")).as<float>()[1], -2);
  EXPECT_EQ(file.view(*file.find("l\"ongs\n")).as<int64_t>()[1], int64_t{1} << 40);
  for (const SafetensorsEntry& entry : file.header().entries)
    EXPECT_EQ(reinterpret_cast<uintptr_t>(file.view(entry).data) % size_of(entry.dtype), 0u);
}

TEST(Safetensors, WriterLeavesNothingBehindWithoutFinish) {
  const TempFolder folder;
  {
    SafetensorsWriter writer(folder.path() / "a.safetensors", {{"a", DType::kU8, {4}}});
    writer.write("a", "abcd");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_NE(error_message([&] {
              SafetensorsWriter writer(folder.path() / "no" / "a.safetensors", {});
            }).find("can't be written"),
            std::string::npos);
}

TEST(Safetensors, ReleasedPagesAreReadAgain) {
  const TempFolder folder;
  std::vector<uint8_t> bytes(1 << 20, 7);
  write_safetensors(folder.path() / "a.safetensors",
                    {{"a", {bytes.data(), DType::kU8, {1 << 20}}}});
  const SafetensorsFile file(folder.path() / "a.safetensors");
  const Tensor view = file.view(*file.find("a"));
  file.prefetch(*file.find("a"), 1 << 30);
  EXPECT_TRUE(file.release(view.data, view.bytes()));
  EXPECT_EQ(view.as<uint8_t>()[70000], 7);
  EXPECT_FALSE(file.release(bytes.data(), bytes.size()));
}

struct Malformed {
  const char* header;
  size_t data;
  const char* message;  // a part of it
};

class MalformedHeader : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedHeader, IsNamed) {
  const std::string message = error_of(file_with(GetParam().header, GetParam().data));
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_EQ(message.rfind("[safetensors] f.safetensors: ", 0), 0u) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Safetensors, MalformedHeader,
    testing::Values(
        Malformed{"{\"a\": ", 0, "expected JSON"}, Malformed{"[1,2]", 0, "expected an object"},
        Malformed{"{} trailing", 0, "expected JSON"},
        Malformed{R"({"a":1})", 0, "'a': expected an object for each tensor, found 1"},
        Malformed{R"({"a":{"dtype":"F32"}})", 0, "an incomplete entry"},
        Malformed{R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4,
                  "expected a dtype of safetensors (F32, F16, BF16, U32, U8, …), found 'F31'"},
        Malformed{R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "a string as dtype"},
        Malformed{R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
                  "non-negative integers as shape, found -1"},
        Malformed{R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
                  "non-negative integers as shape, found 1.5"},
        Malformed{R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4,
                  "non-negative integers as shape, found a list"},
        Malformed{R"({"a":{"dtype":"F32","shape":{"b":1},"data_offsets":[0,4]}})", 4,
                  "found an object"},
        Malformed{R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
                  "expected at most 5 dimensions"},
        Malformed{R"({"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}})", 4,
                  "expected 'shape' once"},
        Malformed{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "incomplete entry"},
        Malformed{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 8,
                  "expected two data_offsets"},
        Malformed{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
                  "expected data_offsets in ascending order, found [4, 0]"},
        Malformed{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                  "tensor 'a': expected 8 bytes for f32 (2), its data_offsets span 4"},
        Malformed{R"({"a":{"dtype":"F64","shape":[281474976710656,281474976710656],)"
                  R"("data_offsets":[0,0]}})",
                  0, "expected over 2^62 bytes"},
        Malformed{R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})", 0,
                  "expected a shape"},
        Malformed{
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
            "expected 8 bytes of data, file has 4; truncated, perhaps an incomplete download"},
        Malformed{R"({"a":{"dtype":"U8","shape":[4],)"
                  R"("data_offsets":[18446744073709551611,18446744073709551615]}})",
                  4, "truncated"},
        Malformed{R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                  7, "'b' overlaps 'a'"},
        Malformed{R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                  8, "expected each tensor once, found 'a' twice"},
        Malformed{R"({"__metadata__":{"a":{"b":"c"}}})", 0, "found an object"},
        Malformed{R"({"__metadata__":{"a":1}})", 0, "a string for each key"},
        Malformed{R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":"y"}})", 1,
                  "expected dtype, shape and data_offsets, found 'x'"},
        Malformed{"{\"a\xff\":1}", 0, "expected JSON"}));

TEST(Safetensors, NamesOtherFiles) {
  EXPECT_NE(error_of("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4976698672\n")
                .find("git-LFS pointer to a file of 4976698672 bytes"),
            std::string::npos);
  EXPECT_NE(error_of("GGUF\x03").find("found"), 0u);
  EXPECT_NE(error_of("GGUF\x03\0\0\0\0\0\0").find("GGUF"), std::string::npos);
  EXPECT_NE(error_of("<!DOCTYPE html><html>404</html>").find("HTML"), std::string::npos);
  EXPECT_NE(error_of("PK\x03\x04 and so on, archive").find("zip archive"), std::string::npos);
  EXPECT_NE(error_of(std::string(64, '\0')).find("begins with zeros"), std::string::npos);
  EXPECT_NE(error_of("abc").find("at least 8 bytes, file has 3"), std::string::npos);
  EXPECT_NE(
      error_of(file_with("{}", 0).substr(0, 9)).find("expected a header of 2 bytes, file has 9"),
      std::string::npos);
  EXPECT_NE(error_of(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10)).find("its length says"),
            std::string::npos);
}

TEST(Safetensors, DeepNestingIsAnError) {
  EXPECT_NE(error_of(file_with("{\"a\":" + std::string(1 << 20, '['), 0)), "");
}

// As mlx writes files without metadata: mlx-lm's adapters.
TEST(Safetensors, AcceptsNoMetadata) {
  EXPECT_EQ(error_of(file_with(R"({"__metadata__":null})", 0)), "");
  EXPECT_NE(error_of(file_with(R"({"__metadata__":{"a":null}})", 0)), "");
  EXPECT_NE(error_of(file_with(R"({"a":null})", 0)), "");
}

TEST(Safetensors, AcceptsGapsPaddingAndAnEmptyFile) {
  EXPECT_EQ(error_of(file_with("{}    ", 0)), "");
  EXPECT_EQ(error_of(file_with(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}  )", 9)),
            "");
}

}  // namespace
}  // namespace mica
