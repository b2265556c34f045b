// Every case of tests/data/template/*.json against what jinja2 gave; the files are made by
// tools/golden_template.py. $MICA_TEMPLATE_CASES names one more file, for long random runs.
#include "text/template/template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "test_data.h"

namespace mica::jinja {
namespace {

using Json = nlohmann::ordered_json;
constexpr int64_t kNow = 1'709'210'096;  // 2024-02-29 12:34:56 UTC

// The output, or "error" where the template raises.
std::string outcome(const std::string& source, const Json& variables, std::string& message) {
  try {
    return Template(source).render(variables, {}, [] { return ClockTime{kNow, 123456}; });
  } catch (const TemplateError& error) {
    message = error.what();
    EXPECT_GT(error.line, 0) << source;
    return "error";
  }
}

// Compares a whole file; reports at most 30 differences.
void run_file(const std::filesystem::path& path, size_t at_least) {
  Json file = Json::parse(read_text_file(path));
  size_t failures = 0;
  for (const Json& test : file["cases"]) {
    const std::string& source = test["template"].get_ref<const std::string&>();
    Json variables =
        test.contains("context") ? file["contexts"][test["context"].get<size_t>()] : Json::object();
    std::string message;
    std::string got = outcome(source, variables, message);
    bool raises = test.contains("error");
    std::string expected = raises ? "error" : test["output"].get<std::string>();
    if (got == expected && raises == !message.empty()) continue;
    if (++failures > 30) continue;
    ADD_FAILURE() << path.filename() << "\ntemplate: " << source << "\nexpected: " << expected
                  << (raises ? " (" + test["error"].get<std::string>() + ")" : "")
                  << "\ngot:      " << got << " " << message;
  }
  EXPECT_EQ(failures, 0u) << "of " << file["cases"].size();
  EXPECT_GE(file["cases"].size(), at_least);
}

class GoldenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(GoldenTest, Constructs) {
  run_file(source_path("tests/data/template/constructs.json"), 100);
}
TEST_F(GoldenTest, Families) {
  run_file(source_path("tests/data/template/families.json"), 20);
}
// $MICA_TEMPLATE_CASES: a file of other cases, as tools/golden_template.py --random N --out writes.
TEST_F(GoldenTest, Random) {
  const char* path = std::getenv("MICA_TEMPLATE_CASES");
  run_file(path ? std::filesystem::path(path) : source_path("tests/data/template/random.json"),
           500);
}

}  // namespace
}  // namespace mica::jinja
