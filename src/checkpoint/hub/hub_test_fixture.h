// For tests: a fake hub, a fresh cache folder and options with short pauses.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/hub/hub.h"
#include "checkpoint/hub/test_server.h"

namespace mica::hub {

class HubTest : public testing::Test {
 protected:
  HubTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mica_hub_XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    options.endpoint = hub.server.url();
    options.cache = folder / "hub";
    options.patience.attempts = 4;
    options.patience.first_pause = 0.01;
    options.patience.stall_seconds = 1;
  }
  ~HubTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  std::filesystem::path repo_folder() const { return options.cache / "models--org--tiny"; }
  std::filesystem::path snapshot() const { return repo_folder() / "snapshots" / hub.commit; }
  std::filesystem::path blob(const std::string& name) const {
    return repo_folder() / "blobs" / hub.files.at(name).etag;
  }
  std::filesystem::path incomplete(const std::string& name) const {
    return blob(name).string() + ".incomplete";
  }

  std::filesystem::path pull() { return pull_model("org/tiny", "main", options); }

  // The message of the Error that a pull must end with.
  std::string pull_error(ErrorKind kind) {
    try {
      pull();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), kind) << e.what();
      return e.what();
    }
    ADD_FAILURE() << "the pull succeeded";
    return "";
  }

  void expect_whole_model() {
    for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"})
      EXPECT_EQ(read_text_file(snapshot() / name), hub.files.at(name).content) << name;
  }

  std::filesystem::path folder;
  FakeHub hub;
  HubOptions options;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace mica::hub
