#include "base/expand.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

std::string expanded(const std::string& text) {
  return expand_variables(text, [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME") return "/home/u";
    if (name == "A") return "1";
    return std::nullopt;
  });
}

TEST(Expand, HomeAtTheStartOnly) {
  EXPECT_EQ(expanded("~"), "/home/u");
  EXPECT_EQ(expanded("~/x"), "/home/u/x");
  EXPECT_EQ(expanded("/~/x"), "/~/x");
  EXPECT_EQ(expanded("~user/x"), "~user/x");
}

TEST(Expand, Variables) {
  EXPECT_EQ(expanded("$A/${A}b$A"), "1/1b1");
  EXPECT_EQ(expanded("$UNKNOWN/${UNKNOWN}"), "$UNKNOWN/${UNKNOWN}");
  EXPECT_EQ(expanded("${A"), "${A");
  EXPECT_EQ(expanded("$"), "$");
  EXPECT_EQ(expanded("${}$$A"), "${}$1");
}

}  // namespace
}  // namespace mica
