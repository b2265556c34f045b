#include "bench/eval/number.h"

#include <gtest/gtest.h>

namespace mica {
namespace {

struct Case {
  const char* text;
  const char* number;  // "" = none
  NumberPlace place = NumberPlace::kLast;
};

std::string number_of(const char* text) {
  const auto found = find_answer_number(text);
  return found ? found->value.text() : "";
}

TEST(Number, AnswersSayTheirNumber) {
  constexpr NumberPlace kMarked = NumberPlace::kMarked, kBoxed = NumberPlace::kBoxed;
  const Case cases[] = {
      {"", ""},
      {"no number", ""},
      {"18", "18"},
      {"She makes 9 * 2 = $18 every day.", "18"},
      {"9 eggs, 2 dollars each\n#### 18", "18", kMarked},
      {"#### $1,234.50\nThat is from 7 eggs.", "1234.5", kMarked},
      {"####18", "18", kMarked},
      {"#### **18** dollars", "18", kMarked},
      {"#### $ 18", "18", kMarked},
      {"#### \\(18\\)", "18", kMarked},
      {"#### -3.", "-3", kMarked},
      {"#### 1. Count the eggs\nThere are 9.\n#### 2. Sell them\nSo 18 dollars", "18"},
      {"#### Step 1: count\n16 - 7 = 9", "9"},
      {"#### 4\nWait, no.\n#### 5", "5", kMarked},
      {"The answer is \\boxed{18}. Check: 9 * 2.", "18", kBoxed},
      {"\\boxed{\\$1{,}234.00}", "1234", kBoxed},
      {"\\boxed{18\\text{ eggs in } 2}", "18", kBoxed},
      {"\\boxed{x = {5}} and 6", "5", kBoxed},
      {"\\boxed{\\frac{1}{2}} of 18", "18"},
      {"\\boxed{18", "18", kBoxed},
      {"#### 7\nso \\boxed{8}", "8", kBoxed},
      {"\\boxed{8}\n#### 7", "7", kMarked},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(number_of(c.text), c.number) << c.text;
    if (const auto found = find_answer_number(c.text)) {
      EXPECT_EQ(found->place, c.place) << c.text;
    }
  }
}

TEST(Number, IsReadAsItIsWritten) {
  const Case cases[] = {
      {"1,234", "1234"},
      {"1,234,567.80", "1234567.8"},
      {"12,34", "34"},
      {"1,2345", "2345"},
      {"1\u202f234", "1234"},
      {"1\\,234", "1234"},
      {"007", "7"},
      {"0.50", "0.5"},
      {".5", "0.5"},
      {"5.", "5"},
      {"-0", "0"},
      {"-0.00", "0"},
      {"-$5", "-5"},
      {"$-5", "-5"},
      {"\u22125", "-5"},
      {"(-5)", "-5"},
      {"= -5", "-5"},
      {"10-5", "5"},
      {"$10-$15", "15"},
      {"- 5 apples", "5"},
      {"x-5", "5"},
      {"50%", "50"},
      {"18 cm^2", "18"},
      {"18 cm^{2}", "18"},
      {"18 in v1.25", "18"},
      {"x2", ""},
      {"Rs.18", "18"},
      {"10:30", "30"},
      {"1e3", "1000"},
      {"1.5e-3", "0.0015"},
      {"25e1x", "25"},
      {"2.50E+2", "250"},
      {"1e99999", "1"},
      {"3rd", "3"},
      {"000000000000000000000000000123456789012345678901234567890",
       "123456789012345678901234567890"},
  };
  for (const Case& c : cases) EXPECT_EQ(number_of(c.text), c.number) << c.text;
}

TEST(Number, OfAWholeText) {
  EXPECT_EQ(parse_decimal(" $1,000 ")->text(), "1000");
  EXPECT_EQ(parse_decimal("50%")->text(), "50");
  EXPECT_EQ(parse_decimal("-1.5.")->text(), "-1.5");
  EXPECT_EQ(parse_decimal("-1.5")->value(), -1.5);
  for (const char* text : {"", "x", "18 eggs", "about 18", "1 2", "-", "$"})
    EXPECT_FALSE(parse_decimal(text)) << text;
}

TEST(Number, MarksAloneCostLittle) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "#### \\boxed{";
  EXPECT_FALSE(find_answer_number(text));
}

}  // namespace
}  // namespace mica
