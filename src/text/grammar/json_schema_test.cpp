#include <nlohmann/json.hpp>

#include "text/grammar/test_support.h"
#include "text/grammar/test_validator.h"

namespace mica::grammar_test {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchemas[] = {
    R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"ok":{"type":"boolean"}},"required":["name","age","ok"],"additionalProperties":false})",
    R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"null"}}})",
    R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a","z"],"additionalProperties":{"type":"array","items":{"type":"boolean"}}})",
    R"({"type":"array","items":{"type":"number"},"minItems":2,"maxItems":4})",
    R"({"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":{"type":"null"},"minItems":1})",
    R"({"type":"array","prefixItems":[{"enum":[1,2]},{"const":"x"}],"items":false})",
    R"({"enum":["a","b\n\"",1,-2.5,null,true,{"k":[1,{}]},[]]})",
    R"({"type":"string","enum":["a",1,"b"],"minLength":1})",
    R"({"anyOf":[{"type":"string","maxLength":3},{"type":"integer","minimum":-12,"maximum":305}]})",
    R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"r":{"type":"number"}},"required":["kind","r"]},{"type":"object","properties":{"kind":{"const":"square"},"side":{"type":"number"}},"required":["kind","side"]}]})",
    R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":3}},"required":["a"]},{"properties":{"a":{"maximum":9},"b":{"type":"string"}}}]})",
    R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["value","next"]}}})",
    R"({"type":"object","properties":{"left":{"$ref":"#"},"right":{"$ref":"#"},"v":{"enum":[0,1]}},"required":["v"]})",
    R"({"type":"string","minLength":2,"maxLength":5})",
    R"({"type":"string","pattern":"^[a-z]{2}-\\d+$"})",
    R"({"type":"string","pattern":"ab|^c","maxLength":6})",
    R"({"type":"string","pattern":"^(\\(\\d{3}\\))?\\d{3}-\\d{4}$"})",
    R"({"type":"string","format":"date"})",
    R"({"type":"string","format":"date-time"})",
    R"({"type":"string","format":"time"})",
    R"({"type":"string","format":"uuid"})",
    R"({"type":"string","format":"ipv4"})",
    R"({"type":"string","format":"email","maxLength":20})",
    R"({"type":"integer","minimum":17})",
    R"({"type":"integer","exclusiveMaximum":-5})",
    R"({"type":"integer","exclusiveMinimum":0,"maximum":1000,"multipleOf":7})",
    R"({"type":"number","minimum":-1.5,"exclusiveMaximum":2.25})",
    R"({"type":"number","exclusiveMinimum":0,"maximum":0.05})",
    R"({"type":"number","minimum":0,"maximum":100,"multipleOf":0.25})",
    R"({"type":["string","null"],"maxLength":2})",
    R"({"type":"string","nullable":true,"maxLength":2})",
    R"({"type":"object","patternProperties":{"^x_":{"type":"integer"},"^y":{"minimum":5}},"additionalProperties":false})",
    R"({"type":"object","properties":{"x_1":{"maximum":3}},"patternProperties":{"^x_":{"type":"integer"}},"additionalProperties":{"type":"boolean"}})",
    R"({"type":"object","propertyNames":{"pattern":"^[a-c]+$","maxLength":4},"additionalProperties":{"type":"integer"},"maxProperties":3})",
    R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"minProperties":2,"maxProperties":2})",
    R"({"type":"object","additionalProperties":{"type":"null"},"minProperties":1})",
    R"({"not":{"type":["object","array","number"]}})",
    R"({"type":"object","properties":{"a":true,"b":false,"c":{}},"required":["c"]})",
    R"({"properties":{"f":{"type":"string"}},"type":["object","integer"]})",
    R"({"type":"object"})",
    R"({"type":"array"})",
    R"({})",
    R"(true)"};

TEST(JsonSchema, RandomTextsAreValid) {
  std::mt19937 random(5);
  const auto tokens = standard_vocabulary();
  int texts = 0;
  for (const char* schema : kSchemas)
    for (const bool any_whitespace : {true, false})
      for (const bool open : {false, true}) {
        GrammarSpec s = spec(Kind::kJsonSchema, schema);
        s.any_whitespace = any_whitespace;
        s.open_objects = open;
        const auto grammar = compile(s);
        const Validator validator(Json::parse(schema));
        for (int i = 0; i < 25; i++, texts++) {
          const std::string text = random_text(grammar, *tokens, random);
          const Json value = Json::parse(text, nullptr, false);
          ASSERT_FALSE(value.is_discarded()) << schema << "\n" << text;
          ASSERT_TRUE(validator.valid(value)) << schema << "\n" << text;
          if (!any_whitespace) {
            ASSERT_EQ(text.find_first_of("\n\t"), std::string::npos) << text;
          }
        }
      }
  EXPECT_GT(texts, 4000);
}

TEST(JsonSchema, RandomObjectsAreJson) {
  std::mt19937 random(6);
  const auto tokens = standard_vocabulary();
  const auto grammar = compile(spec(Kind::kJsonObject, ""));
  for (int i = 0; i < 200; i++) {
    const std::string text = random_text(grammar, *tokens, random, 20000);
    ASSERT_TRUE(Json::parse(text, nullptr, false).is_object()) << text;
  }
}

struct Case {
  const char* schema;
  std::vector<std::string> good, bad;
};

TEST(JsonSchema, Texts) {
  const std::vector<Case> cases{
      {R"({"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"}},"required":["a"]})",
       {R"({"b":1,"a":"x"})", R"({"a":"x"})", "{\n  \"b\": 1,\n  \"a\": \"\"\n}",
        R"({"b": -0, "a": "\u00e9\ud83d\ude00"})"},
       {R"({"a":"x","b":1})", R"({"b":1})", R"({"b":1,"a":"x","c":1})", R"({"b":1,"b":1,"a":"x"})",
        R"({"b":1.5,"a":"x"})", R"({"b":01,"a":"x"})", R"({,"a":"x"})", R"({"a":"x",})",
        R"({"a":"\ud83d"})", R"({"a":"x"} )", R"( {"a":"x"})", R"({   "a":"x"})", "{\"a\":\"\n\"}",
        "{\"a\":\"\xC3\"}"}},
      {R"({"type":"string","pattern":"^a\"\\\\\n$"})",
       {R"("a\"\\\n")"},
       {R"("a\"\\n")", "\"a\"\\\n\""}},
      {R"({"type":"string","maxLength":2})",
       {R"("éé")", R"("\n\u0041")", R"("\ud83d\ude00😀")"},
       {R"("abc")"}},
      {R"({"type":"number"})",
       {"0", "-1.50", "1e5", "12E-3"},
       {"1.", ".5", "+1", "1e", "00", "NaN"}},
      {R"({"type":"integer","minimum":10,"maximum":120})",
       {"10", "99", "120"},
       {"9", "121", "-10", "010", "1e2"}},
      {R"({"type":"number","minimum":1.25})",
       {"1.25", "1.250", "1.3", "2", "10.0"},
       {"1.2", "1", "1.249", "-3"}},
      {R"({"type":"number","exclusiveMaximum":-0.5})",
       {"-0.51", "-1", "-0.500001"},
       {"-0.5", "-0.50", "0", "-0.4"}},
      {R"({"enum":[{"a":[1,2]},"x"]})",
       {R"({"a":[1,2]})", R"({"a": [1, 2]})", R"("x")"},
       {R"({"a":[2,1]})"}},
      {R"({"type":"array","maxItems":0})", {"[]", "[ ]"}, {"[1]"}},
      {R"({"type":"array","items":{"type":"integer"}})",
       {"[]", "[1]", "[1, 2,\n 3]"},
       {"[1,]", "[,1]", "[1 ,2]", "[1.5]"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"string"}],"description":"x"})",
       {"1", "\"1\""},
       {"true"}},
      {R"({"type":"string","format":"ipv6"})",
       {"\"::1\"", "\"fe80::1:2\"", "\"1:2:3:4:5:6:7:8\"", "\"::ffff:10.0.0.1\"",
        "\"1:2:3:4:5:6:7::\"", "\"1:2:3:4:5:6:10.0.0.1\""},
       {"\":::\"", "\"1:2\"", "\"1:2:3:4:5:6:7:8::\"", "\"1:2:3:4:5:6:7:10.0.0.1\"", "\"::1::\"",
        "\"::10.0.0.256\""}},
      {R"({"type":"string","format":"hostname"})",
       {"\"a--b.c\"", "\"a-b\"", '"' + std::string(63, 'a') + ".b\""},
       {"\"ab--c\"", "\"-a\"", "\"a-\"", "\"a..b\"", '"' + std::string(64, 'a') + ".b\""}},
      {R"({"type":"string","format":"email"})",
       {"\"a.b+c@d.e\"", R"("\"a b\"@d.e")", "\"a@[10.0.0.1]\"", "\"a@[IPv6:::1]\""},
       {"\"a..b@d.e\"", "\"a b@d.e\"", "\"a@d_e\"", "\"a@[::1]\"", "\"@d.e\""}},
      {R"({"type":"string","format":"email","minLength":3,"maxLength":254})",
       {"\"a@b\""},
       {"\"\"", "\"a\""}},
      {R"({"type":"string","pattern":"^[ab]{2,3}$","minLength":3,"maxLength":3})",
       {"\"aba\""},
       {"\"ab\"", "\"abab\""}},
      {R"({"type":"string","pattern":"^a*$","minLength":1,"maxLength":3})",
       {"\"a\"", "\"aaa\""},
       {"\"\"", "\"aaaa\""}},
      {R"({"type":"string","format":"time"})",
       {"\"23:59:59.999999999999999z\"", "\"00:00:00-23:59\""},
       {"\"24:00:00Z\"", "\"23:59:60Z\"", "\"00:00:00\""}},
      {R"({"type":"string","format":"uri-reference"})",
       {"\"\"", "\"a/b?c#d\"", "\"//a\"", "\"./b:c\"", "\"x:y\""},
       {"\"a b\"", "\"1:b\"", "\"%zz\""}},
      {R"({"type":"string","format":"json-pointer"})",
       {"\"\"", "\"/a~0b/~1\"", "\"//\""},
       {"\"a\"", "\"/~\"", "\"/~2\""}},
      {R"({"type":"string","format":"relative-json-pointer"})",
       {"\"0\"", "\"1#\"", "\"12/a\""},
       {"\"/a\"", "\"01\"", "\"1##\""}},
      {R"({"enum":[-2.0,[1e3],0.5]})",
       {"-2.0", "-2", "[1000]", "[1000.0]", "0.5"},
       {"-2.00", "1000", "0.50", "2"}},
      {R"({"type":"string","format":"uri"})",
       {"\"https://a.b/c?d=e#f\"", "\"urn:x:y\"", "\"ldap://u:p@[::1]:389/c\"", "\"file:///a\""},
       {"\"//a\"", "\"a b\"", "\"http://[a]\"", "\"http://a:b\""}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-29\""},
       {"\"2023-02-29\"", "\"2024-13-01\""}},
      {R"({"type":"string","format":"duration"})",
       {"\"P1Y2M3DT4H\"", "\"PT5S\"", "\"P2W\""},
       {"\"P\"", "\"P1YT\""}},
      {R"({"type":"integer","format":"int32"})", {"2147483647"}, {"2147483648"}},
      {R"({"const":"\u0001/é"})", {"\"\\u0001/é\""}, {"\"\x01/é\""}}};
  for (const Case& c : cases) {
    const auto grammar = compile(spec(Kind::kJsonSchema, c.schema));
    for (const auto& text : c.good) EXPECT_TRUE(matches(grammar, text)) << c.schema << ": " << text;
    for (const auto& text : c.bad) EXPECT_FALSE(matches(grammar, text)) << c.schema << ": " << text;
  }
}

TEST(JsonSchema, OpenObjects) {
  GrammarSpec s =
      spec(Kind::kJsonSchema, R"({"type":"object","properties":{"a":{"type":"integer"}}})");
  EXPECT_FALSE(matches(compile(s), R"({"a":1,"b":2})"));
  s.open_objects = true;
  EXPECT_TRUE(matches(compile(s), R"({"a":1,"b":2})"));
  EXPECT_TRUE(matches(compile(s), R"({"ab":"x"})"));
  EXPECT_FALSE(matches(compile(s), R"({"a":"x"})"));
}

TEST(JsonSchema, ErrorsNameThePlace) {
  const auto expect = [](const char* schema, const char* place) {
    const std::string message = error_of(Kind::kJsonSchema, schema);
    EXPECT_NE(message.find(place), std::string::npos) << schema << " -> " << message;
  };
  expect("{", "not JSON");
  expect("[]", "expected a schema");
  expect(R"({"type":"object","properties":{"a/b":{"if":{}}}})", "#/properties/a~1b/if");
  expect(R"({"items":{"contains":{}}})", "#/items/contains");
  expect(R"({"type":"array","uniqueItems":true})", "#/uniqueItems");
  expect(R"({"type":"str"})", "#/type");
  expect(R"({"type":"string","format":"iri"})", "#/format");
  expect(R"s({"type":"string","pattern":"(?=a)"})s", "lookahead");
  expect(R"({"$ref":"http://example.com/x"})", "#/$ref");
  expect(R"({"$ref":"#/$defs/none"})", "#/$ref");
  expect(R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "#/oneOf");
  expect(R"({"not":{"required":["a"]}})", "#/not");
  expect(R"({"type":"integer","minimum":5,"maximum":4})", "no text");
  expect(
      R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"x":{"$ref":"#/$defs/a"}},"required":["x"]}}})",
      "no text");
  expect("false", "no text");
  expect(R"({"type":"string","minLength":100000})", "#/minLength");
  expect(R"({"type":"integer","multipleOf":12345678})", "multipleOf");
  expect(R"({"x-note":1,"unknown":2})", "#/unknown");
  EXPECT_EQ(error_of(Kind::kJsonSchema, R"({"title":"t","default":1,"x-order":2,"$comment":"c"})"),
            "");
}

TEST(JsonSchema, HostileSchemasEnd) {
  const auto compiles_or_fails = [](const std::string& schema) {
    error_of(Kind::kJsonSchema, schema);
  };
  std::string deep = "true";
  for (int i = 0; i < 190; i++) deep = R"({"items":)" + deep + "}";
  compiles_or_fails(deep);
  EXPECT_NE(error_of(Kind::kJsonSchema, std::string(100000, '[')), "");
  // A chain of references, longer than any stack of calls may be.
  std::string chain = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 5000; i++)
    chain += "\"d" + std::to_string(i) +
             R"(":{"type":"object","properties":{"x":{"$ref":"#/$defs/d)" + std::to_string(i + 1) +
             "\"}}},";
  compiles_or_fails(chain + R"("d5000":true}})");
  std::string aliases = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 5000; i++)
    aliases += "\"d" + std::to_string(i) + R"(":{"anyOf":[{"$ref":"#/$defs/d)" +
               std::to_string(i + 1) + "\"}]},";
  EXPECT_NE(error_of(Kind::kJsonSchema, aliases + R"("d5000":true}})"), "");
  EXPECT_NE(
      error_of(
          Kind::kJsonSchema,
          R"({"$ref":"#/$defs/a","$defs":{"a":{"oneOf":[{"$ref":"#/$defs/b"},{"type":"null"}]},"b":{"oneOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}}})"),
      "");
  std::string product = R"({"allOf":[)";
  for (int i = 0; i < 30; i++) product += R"({"anyOf":[{"minimum":1},{"maximum":9}]},)";
  EXPECT_NE(error_of(Kind::kJsonSchema, product + "true]}"), "");
  compiles_or_fails(
      R"({"type":"array","maxItems":2000000000,"items":{"type":"array","maxItems":2000000000,"items":{"type":"string","maxLength":2000000000}}})");
  std::string many = R"({"type":"object","properties":{)";
  for (int i = 0; i < 600; i++)
    many += "\"property" + std::to_string(i) + R"(":{"type":"integer"},)";
  EXPECT_EQ(error_of(Kind::kJsonSchema, many + R"("z":{}}})"), "");
  std::string list = R"({"enum":[)";
  for (int i = 0; i < 20000; i++) list += "\"value " + std::to_string(i * 7919) + "\",";
  EXPECT_EQ(error_of(Kind::kJsonSchema, list + "1]}"), "");
  compiles_or_fails(R"({"type":"string","pattern":"^(a|b)*a(a|b){40}$","maxLength":900})");
  compiles_or_fails(
      R"({"type":"string","allOf":[{"pattern":"(a|b|c)*d.{200}e"},{"pattern":"(x.{100}y|.{100}z)+"}]})");
}

}  // namespace
}  // namespace mica::grammar_test
