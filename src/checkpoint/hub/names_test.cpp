#include "checkpoint/hub/names.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/hub/digest.h"
#include "checkpoint/hub/hub.h"

namespace mica::hub {
namespace {

TEST(Names, RepositoryIds) {
  for (const char* good : {"gpt2", "org/name", "mlx-community/Qwen3-0.6B-4bit", "a_b/c.d"})
    EXPECT_TRUE(is_repo_id(good)) << good;
  for (const char* bad : {"", "/", "a/", "/a", "a/b/c", "..", "a/..", "a--b/c", ".a/b", "a/b.",
                          "a b/c", "a/b\n", "../x", "a\\b"})
    EXPECT_FALSE(is_repo_id(bad)) << bad;
  EXPECT_FALSE(is_repo_id(std::string(97, 'a')));
}

TEST(Names, FileNamesStayInside) {
  for (const char* good : {"config.json", "a/b/c.txt", "..a", "a..b/c", "über.txt", "a b"})
    EXPECT_TRUE(is_file_name(good)) << good;
  for (const char* bad : {"", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "./a", "a/.",
                          "a\\..\\b", "a\nb", "a\x7f"})
    EXPECT_FALSE(is_file_name(bad)) << bad;
  EXPECT_FALSE(is_file_name(std::string(256, 'a')));
  EXPECT_FALSE(is_file_name(std::string_view("a\0b", 3)));
  std::string deep = "a";
  for (int i = 0; i < 40; ++i) deep += "/a";
  EXPECT_FALSE(is_file_name(deep));
}

TEST(Names, EtagsAndCommits) {
  EXPECT_TRUE(is_etag("ce013625030ba8dba906f756967f9e9ca394464a"));
  EXPECT_TRUE(is_etag("a-2"));
  for (const char* bad : {"", "..", ".x", "a/b", "a b", "\"a\""}) EXPECT_FALSE(is_etag(bad)) << bad;
  EXPECT_TRUE(is_commit("abc123"));
  for (const char* bad : {"", "..", "a/b", "a.b"}) EXPECT_FALSE(is_commit(bad)) << bad;
  EXPECT_TRUE(is_full_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_full_commit("0123456789ABCDEF0123456789abcdef01234567"));
}

TEST(Names, ModelIdsWithRevision) {
  EXPECT_EQ(parse_model_id("org/name").revision, "main");
  EXPECT_EQ(parse_model_id("org/name@refs/pr/3").revision, "refs/pr/3");
  EXPECT_EQ(parse_model_id("org/name@v1").repo, "org/name");
  for (const char* bad : {"org/name@", "org/name@../x", "@main", "a/b/c", "org/name@/etc"})
    EXPECT_THROW(parse_model_id(bad), Error) << bad;
}

// Expected values from Python's fnmatch.fnmatchcase.
TEST(Names, GlobsMatchAsPython) {
  const struct {
    const char *pattern, *text;
    bool matches;
  } cases[] = {
      {"*", "", true},
      {"*.json", "a.json", true},
      {"*.json", "sub/a.json", true},
      {"*.json", "a.jsonl", false},
      {"a*b*c", "aXbYbZc", true},
      {"a*b*c", "aXbYbZ", false},
      {"?.txt", "a.txt", true},
      {"?.txt", "ab.txt", false},
      {"[abc].x", "b.x", true},
      {"[!abc].x", "b.x", false},
      {"[a-c]*", "cd", true},
      {"[a-c]*", "d", false},
      {"[]]", "]", true},
      {"[", "[", true},
      {"a[", "a[", true},
      {"[!]", "[!]", true},
      {"model-0000[12]-of-*.safetensors", "model-00002-of-00003.safetensors", true},
      {"*.JSON", "a.json", false},
  };
  for (const auto& c : cases)
    EXPECT_EQ(glob_match(c.pattern, c.text), c.matches) << c.pattern << " " << c.text;
  EXPECT_TRUE(glob_match("original/", "original/a/b"));
  // Backtracking must not explode.
  EXPECT_FALSE(glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST(Names, WantedByDefault) {
  for (const char* file : {"config.json", "model-00001-of-00002.safetensors", "tokenizer.model",
                           "chat_template.jinja", "merges.txt", "qwen.tiktoken"})
    EXPECT_TRUE(is_wanted(file, {}, {})) << file;
  for (const char* file : {"pytorch_model.bin", "x.gguf", "original/params.json", "README.md",
                           "onnx/config.json", "consolidated.safetensors", "a.pth"})
    EXPECT_FALSE(is_wanted(file, {}, {})) << file;
  EXPECT_TRUE(is_wanted("x.gguf", {"*.gguf"}, {}));
  EXPECT_FALSE(is_wanted("config.json", {"*.gguf"}, {}));
  EXPECT_FALSE(is_wanted("config.json", {}, {"config*"}));
  EXPECT_FALSE(is_wanted("a.json", {"*.json"}, {"a*"}));
}

TEST(Names, NearestAreBySpelling) {
  const std::vector<std::string> known = {"mlx-community/Qwen3-0.6B-4bit", "mlx-community/gemma-3",
                                          "org/other"};
  EXPECT_EQ(nearest_names("mlx-community/Qwen3-0.6b-4bits", known).front(), known[0]);
  EXPECT_EQ(nearest_names("gemma-3", known).front(), known[1]);
  EXPECT_TRUE(nearest_names("zzzzzzzz", known).empty());
}

TEST(Names, PrintableIsOneLineAndShort) {
  EXPECT_EQ(printable("a\r\n\x1b[31mb"), "a   [31mb");
  EXPECT_EQ(printable("\xc3\xa4\xc3\xa4", 3), "\xc3\xa4…");
}

// From `printf 'hello\n' | git hash-object --stdin` and `printf abc | sha256sum`.
TEST(Digests, KnownValues) {
  Digest git(DigestKind::kGitBlob, 6);
  git.update("hel", 3);
  git.update("lo\n", 3);
  EXPECT_EQ(git.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
  Digest sha(DigestKind::kSha256, 3);
  sha.update("abc", 3);
  EXPECT_EQ(sha.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_kind("a-2"), DigestKind::kNone);
  EXPECT_EQ(digest_kind(std::string(40, 'A')), DigestKind::kNone);
}

}  // namespace
}  // namespace mica::hub
