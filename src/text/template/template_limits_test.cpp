// Hostile templates end with an error, never with a crash, and in bounded time and memory.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "text/template/template.h"

namespace mica::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string repeat(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

ErrorType error_of(const std::string& source, const Limits& limits = {}) {
  try {
    Template(source).render(Json::object(), limits);
  } catch (const TemplateError& error) {
    EXPECT_GT(error.line, 0);
    return error.type;
  }
  ADD_FAILURE() << "no error: " << source.substr(0, 200);
  return ErrorType::kRuntime;
}

TEST(TemplateLimits, Output) {
  EXPECT_EQ(error_of("{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}"),
            ErrorType::kLimit);
  EXPECT_EQ(error_of("{{ 'x' * 100000000000 }}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{% set x = [1] * 100000000000 %}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{{ '%99999999999d' % 1 }}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{{ '{:99999999999}'.format(1) }}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{{ 'x'.ljust(10 ** 12) }}"), ErrorType::kLimit);
}

TEST(TemplateLimits, Memory) {
  Limits limits;
  limits.value_bytes = size_t{32} << 20;
  EXPECT_EQ(error_of("{% set ns = namespace(x='a' * 1000) %}"
                     "{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
                     limits),
            ErrorType::kLimit);
  EXPECT_EQ(error_of("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}"
                     "{% set ns.x = ns.x + ['a' * 1000000 ~ i] %}{% endfor %}",
                     limits),
            ErrorType::kLimit);
  EXPECT_EQ(error_of("{% set ns = namespace(x=[0]) %}"
                     "{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
                     limits),
            ErrorType::kLimit);
}

TEST(TemplateLimits, Steps) {
  Limits limits;
  limits.steps = 1'000'000;
  EXPECT_EQ(error_of("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}"
                     "{% endfor %}",
                     limits),
            ErrorType::kLimit);
  EXPECT_EQ(error_of("{% for i in range(1000000) %}{% endfor %}"), ErrorType::kOverflow);
}

TEST(TemplateLimits, Nesting) {
  EXPECT_EQ(error_of("{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}"),
            ErrorType::kSyntax);
  EXPECT_EQ(error_of("{{ " + repeat("-", 100000) + "1 }}"), ErrorType::kSyntax);
  EXPECT_EQ(error_of("{{ " + repeat("not ", 100000) + "1 }}"), ErrorType::kSyntax);
  EXPECT_EQ(error_of(repeat("{% if 1 %}", 100000)), ErrorType::kSyntax);
  EXPECT_EQ(error_of("{{ 1" + repeat(" + 1", 200000) + " }}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{{ 'a'" + repeat("|upper", 200000) + " }}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), ErrorType::kLimit);
  EXPECT_EQ(error_of("{% set ns = namespace(x=[]) %}"
                     "{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}"),
            ErrorType::kLimit);
  EXPECT_EQ(error_of("{% set ns = namespace(x=[1]) %}"
                     "{% for i in range(100000) %}{% set ns.x = ns.x|map('upper') %}{% endfor %}"),
            ErrorType::kLimit);
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"), ErrorType::kLimit);
}

// A long chain of objects is freed without recursion.
TEST(TemplateLimits, ChainsAreFreed) {
  Template chain(
      "{% set ns = namespace(x=none) %}{% for i in range(100000) %}"
      "{% set ns.x = namespace(x=ns.x) %}{% endfor %}done");
  EXPECT_EQ(chain.render(Json::object()), "done");
  Template macros(
      "{% set ns = namespace(m=none) %}{% for i in range(20000) %}{% set old = ns.m %}"
      "{% macro m() %}{{ old }}{% endmacro %}{% set ns.m = m %}{% endfor %}done");
  EXPECT_EQ(macros.render(Json::object()), "done");
}

TEST(TemplateLimits, LineOfErrors) {
  auto line_of = [](const std::string& source) {
    try {
      Template(source).render(Json::object());
    } catch (const TemplateError& error) {
      return error.line;
    }
    return -1;
  };
  EXPECT_EQ(line_of("a\nb\n{{ x.y }}"), 3);
  EXPECT_EQ(line_of("a\n{% if %}"), 2);
  EXPECT_EQ(line_of("{#\n\n#}\n{{ 'a' + 1 }}"), 4);
  EXPECT_EQ(line_of("{% macro m() %}\n{{ raise_exception('x') }}{% endmacro %}\n{{ m() }}"), 2);
  EXPECT_EQ(line_of("\n\n{{ 1 | nothing }}"), 3);
}

TEST(TemplateLimits, MalformedBytes) {
  EXPECT_EQ(error_of("a\xff"), ErrorType::kSyntax);
  Json variables = {{"x", "a\xff\xc3(\xf0\x9f"}};
  EXPECT_EQ(Template("{{ x|length }} {{ x|upper }} {{ x[::-1]|length }}").render(variables),
            "6 A\xff\xc3(\xf0\x9f 6");
}

}  // namespace
}  // namespace mica::jinja
