// Files written and read again, and what no file may do to the reader: gguf_hostile_test.cpp.
#include "checkpoint/gguf/gguf.h"

#include <gtest/gtest.h>

#include <fstream>

#include "checkpoint/gguf/gguf_names.h"
#include "checkpoint/gguf/gguf_test.h"
#include "checkpoint/gguf/gguf_writer.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

TEST(GgufTypes, BlocksAreThoseOfGgml) {
  const std::tuple<const char*, uint32_t, uint32_t, uint32_t> expected[] = {
      {"F32", 0, 1, 4},         {"F16", 1, 1, 2},         {"BF16", 30, 1, 2},
      {"Q4_0", 2, 32, 18},      {"Q4_1", 3, 32, 20},      {"Q5_0", 6, 32, 22},
      {"Q5_1", 7, 32, 24},      {"Q8_0", 8, 32, 34},      {"Q8_1", 9, 32, 36},
      {"Q2_K", 10, 256, 84},    {"Q3_K", 11, 256, 110},   {"Q4_K", 12, 256, 144},
      {"Q5_K", 13, 256, 176},   {"Q6_K", 14, 256, 210},   {"Q8_K", 15, 256, 292},
      {"IQ2_XXS", 16, 256, 66}, {"IQ2_XS", 17, 256, 74},  {"IQ3_XXS", 18, 256, 98},
      {"IQ1_S", 19, 256, 50},   {"IQ4_NL", 20, 32, 18},   {"IQ3_S", 21, 256, 110},
      {"IQ2_S", 22, 256, 82},   {"IQ4_XS", 23, 256, 136}, {"IQ1_M", 29, 256, 56},
      {"TQ1_0", 34, 256, 54},   {"TQ2_0", 35, 256, 66},   {"MXFP4", 39, 32, 17},
      {"NVFP4", 40, 64, 36},
  };
  for (const auto& [name, id, block, bytes] : expected) {
    const GgufTypeInfo* info = find_gguf_type(name);
    ASSERT_NE(info, nullptr) << name;
    EXPECT_EQ(info, find_gguf_type(id)) << name;
    EXPECT_EQ(info->block, block) << name;
    EXPECT_EQ(info->bytes, bytes) << name;
  }
  for (const uint32_t withdrawn : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, ~0u})
    EXPECT_EQ(find_gguf_type(withdrawn), nullptr) << withdrawn;
}

TEST(GgufNames, WeightsOfLayersAndOutsideThem) {
  const GgufArchitecture& llama = *find_gguf_architecture("mistral");
  const GgufArchitecture& gemma = *find_gguf_architecture("gemma3_text");
  EXPECT_STREQ(llama.name, "llama");
  EXPECT_TRUE(llama.rotates_neighbours);
  EXPECT_FALSE(gemma.rotates_neighbours);
  EXPECT_EQ(gguf_weight_name(llama, "model.layers.12.self_attn.q_proj"), "blk.12.attn_q");
  EXPECT_EQ(gguf_weight_name(llama, "model.layers.0.mlp.switch_mlp.down_proj"),
            "blk.0.ffn_down_exps");
  EXPECT_EQ(gguf_weight_name(llama, "lm_head"), "output");
  EXPECT_EQ(gguf_weight_name(llama, "model.layers.0.post_attention_layernorm"), "blk.0.ffn_norm");
  EXPECT_EQ(gguf_weight_name(gemma, "model.layers.0.post_attention_layernorm"),
            "blk.0.post_attention_norm");
  for (const char* unknown : {"model.layers.0", "model.layers.0.mlp", "visual.merger", ""})
    EXPECT_EQ(gguf_weight_name(llama, unknown), std::nullopt) << unknown;
  EXPECT_EQ(find_gguf_architecture("bert"), nullptr);
}

// A value of each type, scalar and array, and arrays of arrays.
GgufMetadata all_values() {
  GgufMetadata keys;
  const auto add = [&](GgufValueType type, GgufValue::Items scalar, GgufValue::Items array) {
    keys.emplace_back(std::string("one.") + name(type), GgufValue{type, false, std::move(scalar)});
    keys.emplace_back(std::string("all.") + name(type), GgufValue{type, true, std::move(array)});
  };
  using U = std::vector<uint64_t>;
  using I = std::vector<int64_t>;
  using F = std::vector<double>;
  using S = std::vector<std::string>;
  add(GgufValueType::kU8, U{255}, U{0, 255});
  add(GgufValueType::kU16, U{65535}, U{0, 65535});
  add(GgufValueType::kU32, U{UINT32_MAX}, U{0, UINT32_MAX});
  add(GgufValueType::kU64, U{UINT64_MAX}, U{0, UINT64_MAX});
  add(GgufValueType::kBool, U{1}, U{0, 1});
  add(GgufValueType::kI8, I{-128}, I{-128, 127});
  add(GgufValueType::kI16, I{-32768}, I{-32768, 32767});
  add(GgufValueType::kI32, I{INT32_MIN}, I{INT32_MIN, INT32_MAX});
  add(GgufValueType::kI64, I{INT64_MIN}, I{INT64_MIN, INT64_MAX});
  add(GgufValueType::kF32, F{0.5}, F{-1, 0.25, 3e38f});
  add(GgufValueType::kF64, F{1e300}, F{1e-300, 0.1});
  add(GgufValueType::kString, S{"text"}, S{"", "two\0words", "ü"});
  GgufValue inner{GgufValueType::kU32, true, U{1, 2}};
  GgufValue outer{GgufValueType::kArray, true, std::vector<GgufValue>{inner, inner}};
  keys.emplace_back("nested", outer);
  keys.emplace_back("empty", gguf_strings({}));
  return keys;
}

bool same(const GgufValue& a, const GgufValue& b) {
  if (a.type != b.type || a.is_array != b.is_array || a.size() != b.size()) return false;
  if (const auto* lists = std::get_if<std::vector<GgufValue>>(&a.items)) {
    const auto& others = std::get<std::vector<GgufValue>>(b.items);
    return std::equal(lists->begin(), lists->end(), others.begin(), same);
  }
  return std::visit(
      [&](const auto& items) {
        using Items = std::decay_t<decltype(items)>;
        if constexpr (std::is_same_v<Items, std::vector<GgufValue>>)
          return false;
        else
          return items == std::get<Items>(b.items);
      },
      a.items);
}

TEST(Gguf, WhatIsWrittenIsRead) {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.gguf";
  const GgufMetadata keys = all_values();
  const std::vector<GgufWriter::Item> items = {{"a", GgufType::kQ4_1, {3, 2, 64}},
                                               {"b", GgufType::kF32, {5}},
                                               {"c", GgufType::kBf16, {1, 3}}};
  const std::string a = pattern_bytes(3 * 2 * 40), b = pattern_bytes(20), c = pattern_bytes(6);
  {
    GgufWriter writer(path, keys, items);
    writer.write("c", bytes_of(c));
    writer.write("a", bytes_of(a).subspan(100), 100);
    writer.write("a", bytes_of(a).first(100));
    writer.write("b", bytes_of(b));
    writer.finish();
    EXPECT_EQ(writer.file_bytes(), fs::file_size(path));
  }
  const GgufFile file(path);
  const GgufHeader& header = file.header();
  EXPECT_EQ(header.version, 3u);
  ASSERT_EQ(header.metadata.size(), keys.size());
  for (const auto& [key, value] : keys) {
    ASSERT_NE(header.find(key), nullptr) << key;
    EXPECT_TRUE(same(*header.find(key), value)) << key;
  }
  ASSERT_EQ(header.tensors.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(header.tensors[i].name, items[i].name);
    EXPECT_EQ(header.tensors[i].type, items[i].type);
    EXPECT_EQ(header.tensors[i].shape, items[i].shape);
    EXPECT_EQ((header.data_begin + header.tensors[i].offset) % 32, 0u);
  }
  EXPECT_EQ(text_of(file.data(header.tensors[0])), a);
  EXPECT_EQ(text_of(file.data(header.tensors[1])), b);
  EXPECT_EQ(text_of(file.data(header.tensors[2])), c);
}

TEST(Gguf, KeysAreFoundByWhatTheyHold) {
  const TempFolder folder;
  const GgufMetadata keys = {
      {"u", gguf_u32(7)},
      {"f", gguf_f32(0.5f)},
      {"s", gguf_string("x")},
      {"minus", GgufValue{GgufValueType::kI64, false, std::vector<int64_t>{-1}}},
      {"plus", GgufValue{GgufValueType::kI8, false, std::vector<int64_t>{3}}},
      {"list", gguf_i32s({4, 5})},
      {"minus_list", gguf_i32s({4, -5})}};
  const GgufHeader header = header_of(write_gguf(folder.path() / "k.gguf", keys, {}));
  EXPECT_EQ(header.unsigned_integer("u"), 7u);
  EXPECT_EQ(header.unsigned_integer("plus"), 3u);
  for (const char* other : {"f", "s", "minus", "list", "absent"})
    EXPECT_EQ(header.unsigned_integer(other), std::nullopt) << other;
  EXPECT_EQ(header.number("f"), 0.5);
  EXPECT_EQ(header.number("minus"), -1);
  EXPECT_EQ(header.number("s"), std::nullopt);
  EXPECT_EQ(header.string("s"), "x");
  EXPECT_EQ(header.string("u"), std::nullopt);
  EXPECT_EQ(header.unsigned_integers("list"), (std::vector<uint64_t>{4, 5}));
  EXPECT_EQ(header.unsigned_integers("u"), (std::vector<uint64_t>{7}));
  EXPECT_TRUE(header.unsigned_integers("minus_list").empty());
}

TEST(Gguf, VersionTwoIsReadAsWell) {
  const TempFolder folder;
  std::string bytes =
      write_gguf(folder.path() / "v.gguf", {{"u", gguf_u32(7)}}, {{"t", GgufType::kF32, {2, 3}}});
  bytes[4] = 2;
  EXPECT_EQ(header_of(bytes).version, 2u);
}

TEST(Gguf, WriterLeavesNothingBehindWithoutFinish) {
  const TempFolder folder;
  { GgufWriter writer(folder.path() / "a.gguf", {}, {{"a", GgufType::kF32, {4}}}); }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// Part `part` (from 0) of a model, with one tensor of its own.
void write_part(const fs::path& path, uint64_t part, uint64_t parts) {
  write_gguf(path, {{"split.no", gguf_u32(part)}, {"split.count", gguf_u32(parts)}},
             {{"t" + std::to_string(part), GgufType::kF32, {2}}});
}

TEST(GgufSplit, AnyPartLeadsToAll) {
  const TempFolder folder;
  for (uint64_t part = 0; part < 3; ++part)
    write_part(folder.path() / fmt::format("m-{:05}-of-00003.gguf", part + 1), part, 3);
  for (const char* name : {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    const GgufModel model(folder.path() / name);
    ASSERT_EQ(model.files().size(), 3u);
    EXPECT_EQ(model.metadata().unsigned_integer("split.no"), 0u);
    for (const char* tensor : {"t0", "t1", "t2"})
      EXPECT_TRUE(model.find(tensor).has_value()) << tensor;
    EXPECT_EQ(model.find("t1")->file, &model.files()[1]);
    EXPECT_FALSE(model.find("t3").has_value());
  }
}

TEST(GgufSplit, FilesThatAreNoPartStandAlone) {
  for (const char* name : {"model.gguf", "m-00001-of-00000.gguf", "m-00004-of-00003.gguf",
                           "m-0001-of-00003.gguf", "-00001-of-00003.gguf", "m-00001-of-00003.bin"})
    EXPECT_EQ(gguf_parts(name), std::vector<fs::path>{name}) << name;
}

TEST(GgufSplit, MissingAndMixedPartsAreNamed) {
  const TempFolder folder;
  const fs::path first = folder.path() / "m-00001-of-00002.gguf";
  const fs::path second = folder.path() / "m-00002-of-00002.gguf";
  const auto error = [&] { return error_message([&] { GgufModel model(first); }); };
  write_part(first, 0, 2);
  EXPECT_NE(error().find("m-00002-of-00002.gguf is missing"), std::string::npos) << error();
  write_part(second, 0, 2);
  EXPECT_NE(error().find("expected part 2 of 2, its split.no and split.count say 1 of 2"),
            std::string::npos)
      << error();
  write_gguf(second, {{"split.no", gguf_u32(1)}, {"split.count", gguf_u32(2)}},
             {{"t0", GgufType::kF32, {2}}});
  EXPECT_NE(error().find("'t0' is in an earlier one too"), std::string::npos) << error();
}

}  // namespace
}  // namespace mica
