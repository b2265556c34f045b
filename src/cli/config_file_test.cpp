#include "cli/config_file.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "base/error.h"

namespace mica {
namespace {

using Arguments = std::vector<std::string>;

class ConfigFileTest : public ::testing::Test {
 protected:
  ConfigFileTest() : path_(::testing::TempDir() + "mica_config.yaml") {
    app_.add_option("--log-level", level_);
    CLI::App* serve = app_.add_subcommand("serve", "");
    serve->fallthrough();
    serve->add_option("-m,--model", model_)->required();
    serve->add_option("--port", port_);
    serve->add_option("--api-key", keys_);
    serve->add_option("--chat-template-args", template_);
    serve->add_flag("--access-log", access_);
    serve->add_option("--config", config_);
    app_.add_subcommand("bench", "")->add_option("--model", model_);
  }
  ~ConfigFileTest() override { std::remove(path_.c_str()); }

  Arguments with(const std::string& text, Arguments given = {}) {
    std::ofstream(path_) << text;
    given.insert(given.begin(), {"serve", "--config", path_});
    Arguments all = with_config_file(app_, given);
    EXPECT_TRUE(std::equal(given.begin(), given.end(), all.begin()));
    return {all.begin() + static_cast<ptrdiff_t>(given.size()), all.end()};
  }
  std::string error(const std::string& text) {
    try {
      with(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "no error";
  }

  const std::string path_;
  CLI::App app_;
  std::string level_, model_, template_, config_;
  int port_ = 0;
  std::vector<std::string> keys_;
  bool access_ = false;
};

TEST_F(ConfigFileTest, BecomesFlags) {
  EXPECT_EQ(with("# a comment\nmodel: org/name\nport: 9000\naccess_log: yes\nlog-level: debug\n"
                 "api-key: [a, 'b']\nchat-template-args: {enable_thinking: false, n: 2, s: '3'}\n"),
            (Arguments{"--model=org/name", "--port=9000", "--access-log", "--log-level=debug",
                       "--api-key=a", "--api-key=b",
                       "--chat-template-args={\"enable_thinking\":false,\"n\":2,\"s\":\"3\"}"}));
  EXPECT_EQ(with("access-log: false\nmodel: \"a: b # c\"\n"), (Arguments{"--model=a: b # c"}));
}

TEST_F(ConfigFileTest, IsWhatTheParserTakes) {
  std::ofstream(path_) << "model: org/name\nport: 9000\naccess-log: true\napi-key: [a, b]\n"
                          "log-level: debug\n";
  Arguments all = with_config_file(app_, {"serve", "--config=" + path_, "--port", "1"});
  std::reverse(all.begin(), all.end());
  app_.parse(all);
  EXPECT_EQ(model_, "org/name");
  EXPECT_EQ(port_, 1);
  EXPECT_EQ(keys_, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(level_, "debug");
  EXPECT_TRUE(access_);
}

TEST_F(ConfigFileTest, TheCommandLineWins) {
  const std::string text = "model: a\nport: 9000\n";
  EXPECT_EQ(with(text, {"--port", "1"}), (Arguments{"--model=a"}));
  EXPECT_EQ(with(text, {"--port=1"}), (Arguments{"--model=a"}));
  EXPECT_EQ(with(text, {"-m", "b"}), (Arguments{"--port=9000"}));
}

TEST_F(ConfigFileTest, ErrorsNameTheLine) {
  const std::string place = "[config] " + path_ + ":";
  EXPECT_EQ(error("model: a\nprot: 1\n"),
            place + "2: 'prot' is no flag of `serve`; is port meant?");
  EXPECT_EQ(error("model: a\n\nentirely_else: 1\n"),
            place + "3: 'entirely-else' is no flag of `serve`");
  EXPECT_EQ(error("config: other.yaml\n"), place + "1: 'config' is no flag of `serve`");
  EXPECT_EQ(error("model: a\nmodel: b\n"), place + "2: 'model' is there twice");
  EXPECT_EQ(error("access-log: 3\n"), place + "1: --access-log takes true or false");
  EXPECT_EQ(error("model:\n"), place + "1: --model has no value; leave the line out");
  EXPECT_EQ(error("- model\n"),
            place + "1: expected lines as 'name: value', with the flags' names without dashes");
  EXPECT_EQ(error("model: [a\n").rfind(place + "2: expected YAML", 0), 0U);
  EXPECT_NE(error("a: b: c\n").find("expected YAML"), std::string::npos);
  EXPECT_NE(error("").find("it can't be read, or is empty"), std::string::npos);
}

TEST_F(ConfigFileTest, OtherCommandsAreNotTouched) {
  const Arguments given = {"bench", "--config", "absent"};
  EXPECT_EQ(with_config_file(app_, given), given);
  EXPECT_EQ(with_config_file(app_, {"serve", "--port", "1"}), (Arguments{"serve", "--port", "1"}));
  EXPECT_THROW(with_config_file(app_, {"serve", "--config", "/absent"}), Error);
}

}  // namespace
}  // namespace mica
