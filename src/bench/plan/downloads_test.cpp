#include "bench/plan/downloads.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mica {
namespace {

constexpr const char* kStorage = "storage: {primary: $DISK/m, gguf: /g}\n";

std::vector<Download> downloads(const std::string& models) {
  const ModelsFile file =
      parse_models_file(std::string(kStorage) + "models:\n" + models, "m.yaml", BackendTable());
  const VariableLookup lookup = [](const std::string& name) {
    return name == "DISK" ? std::optional<std::string>("/disk") : std::nullopt;
  };
  return downloads_of(file.models.at(0), file, lookup);
}

std::string refusal(const std::string& models) {
  try {
    downloads(models);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    return e.what();
  }
  return "";
}

TEST(Downloads, EachRevisionHasItsFolder) {
  const auto all = downloads("  - {repo_id: a/b, revisions: [main, 4.0bpw], exclude: ['*.bin']}");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].folder, "/disk/m/a/b");
  EXPECT_EQ(all[1].folder, "/disk/m/a/b/4.0bpw");
  EXPECT_EQ(all[1].revision, "4.0bpw");
  EXPECT_EQ(all[1].exclude, std::vector<std::string>{"*.bin"});
  EXPECT_EQ(downloads("  - {repo_id: a/b}").at(0).revision, "main");
}

TEST(Downloads, GgufGoesToItsOwnRoot) {
  EXPECT_EQ(downloads("  - {repo_id: a/B-GGUF, include: ['*Q4*']}").at(0).folder, "/g/a/B-GGUF");
  EXPECT_EQ(downloads("  - {repo_id: a/b, files: [x.gguf]}").at(0).folder, "/g/a/b");
  EXPECT_EQ(downloads("  - {repo_id: a/b, format: gguf, include: [x]}").at(0).folder, "/g/a/b");
  EXPECT_EQ(downloads("  - {repo_id: a/b-gguf, format: mlx}").at(0).folder, "/disk/m/a/b-gguf");
  EXPECT_EQ(downloads("  - {repo_id: a/b-gguf, include: [x], local_dir: '${DISK}/l'}").at(0).folder,
            "/disk/l");
}

TEST(Downloads, FilesAreIncluded) {
  EXPECT_EQ(downloads("  - {repo_id: a/b, include: [x], files: [y]}").at(0).include,
            (std::vector<std::string>{"x", "y"}));
}

TEST(Downloads, WithoutStorageTheCacheIsTaken) {
  const ModelsFile file = parse_models_file("models: [{repo_id: a/b}]", "m.yaml", BackendTable());
  EXPECT_EQ(downloads_of(file.models.at(0), file, {}).at(0).folder, "");
}

TEST(Downloads, WhatCannotBeServedIsRefusedWithItsLine) {
  EXPECT_EQ(refusal("  - {repo_id: a/b, repo_type: dataset}"),
            "[fetch] m.yaml:3: a/b: repo_type: expected model, found dataset; only models are "
            "downloaded");
  EXPECT_EQ(refusal("  - {repo_id: a/b, repo_type: model}"), "");
  EXPECT_NE(refusal("  - {repo_id: a/b-GGUF}").find("m.yaml:3: a/b-GGUF: a GGUF repository"),
            std::string::npos);
  EXPECT_NE(
      refusal("  - {repo_id: a/b, local_dir: x, revisions: [r, s]}").find("several revisions"),
      std::string::npos);
}

TEST(Downloads, ANameOrARepositorysEntries) {
  const ModelsFile file = parse_models_file(
      "models: [{repo_id: a/b, name: short}, {repo_id: a/b, revision: r}, {repo_id: c/d}]",
      "m.yaml", BackendTable());
  EXPECT_EQ(entries_named(file, "short"), std::vector<const ModelEntry*>{&file.models[0]});
  EXPECT_EQ(entries_named(file, "a/b").size(), 2u);
  try {
    entries_named(file, "shirt");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "[fetch] 'shirt' is no model of m.yaml; is short meant?");
  }
}

}  // namespace
}  // namespace mica
