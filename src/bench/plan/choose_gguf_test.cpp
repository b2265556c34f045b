#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "bench/plan/locate.h"
#include "temp_folder.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

class ChooseGguf : public testing::Test {
 protected:
  void put(std::initializer_list<const char*> files) {
    for (const char* file : files) {
      fs::create_directories((folder_.path() / file).parent_path());
      write_text_file(folder_.path() / file, "x");
    }
  }
  // The file's path in the folder, or the error's text.
  std::string chosen(const std::string& wanted = "", const std::vector<std::string>& include = {}) {
    try {
      return choose_gguf(folder_.path(), wanted, include)
          .lexically_relative(folder_.path())
          .string();
    } catch (const Error& error) {
      kind_ = error.kind();
      return error.what();
    }
  }
  bool fails_with(const std::string& text, const std::string& message) {
    return text.find(message) != text.npos;
  }
  TempFolder folder_;
  ErrorKind kind_ = ErrorKind::kInternal;
};

TEST_F(ChooseGguf, OneFileAtAnyDepth) {
  put({"a/b/x.gguf", "mmproj-x-f16.gguf", "readme.md"});
  EXPECT_EQ(chosen(), "a/b/x.gguf");
}

TEST_F(ChooseGguf, OneSplitModelBeatsWholeFiles) {
  put({"x-00001-of-00002.gguf", "x-00002-of-00002.gguf", "small.gguf"});
  EXPECT_EQ(chosen(), "x-00001-of-00002.gguf");
}

TEST_F(ChooseGguf, OneWholeFileBeatsSeveralSplitModelsByName) {
  put({"a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "b-00001-of-00001.gguf", "c.gguf"});
  EXPECT_EQ(chosen("c.gguf"), "c.gguf");
}

TEST_F(ChooseGguf, SeveralFilesAreAnErrorThatShowsWhatToType) {
  put({"m-Q4_K_M.gguf", "m-Q8_0.gguf"});
  const std::string text = chosen();
  EXPECT_EQ(kind_, ErrorKind::kUsage);
  EXPECT_TRUE(fails_with(text, "found 2 GGUF files of one model each")) << text;
  EXPECT_TRUE(fails_with(text, "\n  --gguf m-Q4_K_M.gguf\n  --gguf m-Q8_0.gguf")) << text;
  EXPECT_EQ(chosen("q8"), "m-Q8_0.gguf");
  EXPECT_EQ(chosen("", {"*Q4_K_M*"}), "m-Q4_K_M.gguf");
  EXPECT_EQ(chosen("Q8_0", {"*Q4_K_M*"}), "m-Q8_0.gguf");  // the command line wins
}

TEST_F(ChooseGguf, SeveralSplitModelsAreAnErrorThatSaysSo) {
  put({"q4/a-00001-of-00002.gguf", "q4/a-00002-of-00002.gguf", "q8/b-00001-of-00002.gguf",
       "q8/b-00002-of-00002.gguf"});
  const std::string text = chosen();
  EXPECT_TRUE(fails_with(text, "found 2 split models")) << text;
  EXPECT_TRUE(fails_with(text, "--gguf q8/b-00001-of-00002.gguf")) << text;
  EXPECT_EQ(chosen("q8/"), "q8/b-00001-of-00002.gguf");
}

TEST_F(ChooseGguf, AMissingPartIsNamed) {
  put({"x-00001-of-00003.gguf", "x-00003-of-00003.gguf"});
  const std::string text = chosen();
  EXPECT_EQ(kind_, ErrorKind::kCheckpoint);
  EXPECT_TRUE(fails_with(text, "expected x-00002-of-00003.gguf, found 2 of 3 parts")) << text;
}

TEST_F(ChooseGguf, AMissingFirstPartIsNamed) {
  put({"x-00002-of-00003.gguf", "x-00003-of-00003.gguf"});
  std::string text = chosen();
  EXPECT_EQ(kind_, ErrorKind::kCheckpoint);
  EXPECT_TRUE(fails_with(text, "expected x-00001-of-00003.gguf, found 2 of 3 parts")) << text;
  put({"small.gguf"});  // it is not what the folder is for
  text = chosen();
  EXPECT_TRUE(fails_with(text, "expected x-00001-of-00003.gguf")) << text;
  EXPECT_EQ(chosen("small"), "small.gguf");
  fs::remove(folder_.path() / "small.gguf");
  put({"y-00001-of-00002.gguf", "y-00002-of-00002.gguf"});
  text = chosen();
  EXPECT_TRUE(fails_with(text, "--gguf x-00001-of-00003.gguf  (parts are missing)")) << text;
  EXPECT_TRUE(fails_with(text, "--gguf y-00001-of-00002.gguf") &&
              !fails_with(text, "y-00001-of-00002.gguf  ("))
      << text;
}

TEST_F(ChooseGguf, NothingThatFitsShowsWhatThereIs) {
  put({"m-Q4_K_M.gguf"});
  EXPECT_TRUE(fails_with(chosen("Q5"), "no file fits 'Q5'; there are:\n  m-Q4_K_M.gguf"));
  EXPECT_EQ(kind_, ErrorKind::kUsage);
}

TEST_F(ChooseGguf, AnEmptyFolder) {
  EXPECT_TRUE(fails_with(chosen(), "expected a GGUF file, found none"));
  EXPECT_EQ(kind_, ErrorKind::kCheckpoint);
}

TEST_F(ChooseGguf, ProjectorsBesideAndAboveUpToTheRoot) {
  put({"org/repo/q4/x.gguf", "org/repo/mmproj-BF16.gguf", "org/repo/mmproj-model-f16.gguf",
       "org/repo/mmproj-f32.gguf"});
  const fs::path model = folder_.path() / "org/repo/q4/x.gguf";
  EXPECT_EQ(find_projector(model, folder_.path()).filename(), "mmproj-model-f16.gguf");
  EXPECT_EQ(find_projector(model, {}), fs::path());  // no root: only beside the model
  fs::remove(folder_.path() / "org/repo/mmproj-model-f16.gguf");
  EXPECT_EQ(find_projector(model, folder_.path()).filename(), "mmproj-BF16.gguf");
  EXPECT_EQ(find_projector(model, folder_.path() / "org/repo/q4"), fs::path());
}

}  // namespace
}  // namespace mica
