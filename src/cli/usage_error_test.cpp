#include "cli/usage_error.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace mica {
namespace {

std::string told(const std::vector<std::string>& given) {
  CLI::App app;
  app.name("mica");
  app.require_subcommand(1);
  app.fallthrough();
  std::string text, level;
  app.add_option("--log-level", level);
  CLI::App* bench = app.add_subcommand("bench");
  bench->add_option("--backend", text);
  bench->add_flag("--force");
  app.add_subcommand("pull");
  CLI::App* results = app.add_subcommand("results");
  results->require_subcommand(1);
  results->add_subcommand("list");
  std::vector<std::string> words(given.rbegin(), given.rend());
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError&) {
    return unknown_words(app, given);
  }
  return "it was understood";
}

TEST(UsageError, AnUnknownCommandAndTheNearest) {
  EXPECT_EQ(told({"benhc"}), "'benhc' is no command of `mica`; is bench meant?");
  EXPECT_EQ(told({"--log-level", "info", "benhc", "x"}),
            "'benhc' is no command of `mica`; is bench meant?");
  EXPECT_EQ(told({"frobnicate"}), "'frobnicate' is no command of `mica`");
  EXPECT_EQ(told({"results", "lsit"}), "'lsit' is no command of `mica results`; is list meant?");
  EXPECT_EQ(told({}), "");
}

TEST(UsageError, UnknownFlagsInTheirOrder) {
  EXPECT_EQ(told({"bench", "--bakend", "vllm", "--froce"}),
            "'--bakend' is no flag of `mica bench`; is --backend meant?\n"
            "'--froce' is no flag of `mica bench`; is --force meant?");
  EXPECT_EQ(told({"bench", "--log-levl=debug"}),
            "'--log-levl' is no flag of `mica bench`; is --log-level meant?");
  EXPECT_EQ(told({"bench", "--backend"}), "");  // the parser says what is missing
}

TEST(UsageError, NothingIsSaidOfWordsThatAreKnown) {
  EXPECT_EQ(told({"bench", "--backend", "vllm"}), "it was understood");
  EXPECT_EQ(told({"bench", "a", "b"}), "not expected: 'a' 'b'");
}

}  // namespace
}  // namespace mica
