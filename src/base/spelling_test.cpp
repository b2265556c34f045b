#include "base/spelling.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

TEST(Spelling, DistanceCountsInsertionsDeletionsAndReplacements) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("flaw", "lawn"), 2u);
}

TEST(Spelling, NearestIsTheClosestOrNone) {
  const std::vector<std::string> known = {"extra_args", "env", "image", "image_type"};
  EXPECT_EQ(nearest_spelling("extra_arg", known), "extra_args");
  EXPECT_EQ(nearest_spelling("imagetype", known), "image_type");
  EXPECT_EQ(nearest_spelling("zzzz", known), "");
  EXPECT_EQ(nearest_spelling("", known), "");
  EXPECT_EQ(nearest_spelling(std::string(5000, 'e'), known), "");
}

TEST(Spelling, MeantInsteadEndsAMessage) {
  EXPECT_EQ(meant_instead("prot", {"port", "host"}), "; is port meant?");
  EXPECT_EQ(meant_instead("quantum", {"port", "host"}), "");
}

TEST(Spelling, OneOrSeveral) {
  EXPECT_EQ(counted(1, "run"), "1 run");
  EXPECT_EQ(counted(0, "run"), "0 runs");
  EXPECT_EQ(counted(3, "run"), "3 runs");
}

}  // namespace
}  // namespace mica
