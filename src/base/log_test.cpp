#include "base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mica {
namespace {

std::string line_of(const std::string& message, const std::string& fields = "") {
  set_log_format(LogFormat::kJson);
  testing::internal::CaptureStderr();
  log_line(LogLevel::kError, message, fields);
  const std::string line = testing::internal::GetCapturedStderr();
  set_log_format(LogFormat::kText);
  return line;
}

// nlohmann's parser refuses raw control characters and what is no UTF-8.
std::string read_back(const std::string& message) {
  return nlohmann::json::parse(line_of(message)).at("message");
}

TEST(Log, AJsonLineHoldsEveryCharacter) {
  std::string control;
  for (char c = 0; c < 0x20; ++c) control += c;
  for (const std::string& text : {std::string(), control, std::string("\"quoted\" \\ /\x7f"),
                                  std::string("é 世界 😀\u2028")}) {
    EXPECT_EQ(read_back(text), text);
    const std::string line = line_of(text);
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  }
}

TEST(Log, BytesThatAreNoUtf8AreReplaced) {
  const std::string bad = "\uFFFD";
  EXPECT_EQ(read_back("a\xffz"), "a" + bad + "z");
  EXPECT_EQ(read_back("\x80"), bad);
  EXPECT_EQ(read_back("a\xc3"), "a" + bad);                         // cut off
  EXPECT_EQ(read_back("\xe2\x82z"), bad + bad + "z");               // the same
  EXPECT_EQ(read_back("\xc0\xaf"), bad + bad);                      // overlong
  EXPECT_EQ(read_back("\xed\xa0\x80"), bad + bad + bad);            // a surrogate
  EXPECT_EQ(read_back("\xf4\x90\x80\x80"), bad + bad + bad + bad);  // above U+10FFFF
  EXPECT_EQ(read_back("\xf5\x80\x80\x80"
                      "z"),
            bad + bad + bad + bad + "z");  // the same
}

TEST(Log, FieldsAreMembers) {
  const auto line = nlohmann::json::parse(line_of("x", "\"status\":200"));
  EXPECT_EQ(line.at("level"), "error");
  EXPECT_EQ(line.at("status"), 200);
}

}  // namespace
}  // namespace mica
