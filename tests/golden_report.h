// Golden files of reports, tests/golden/report.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/file.h"
#include "test_data.h"

namespace mica {

// With MICA_REGENERATE_GOLDENS set the files are written instead: then read their differences.
inline void expect_golden(const std::string& text, const std::string& name) {
  const auto path = source_path("tests/golden/report/" + name);
  if (std::getenv("MICA_REGENERATE_GOLDENS")) write_text_file(path, text);
  EXPECT_EQ(text, read_text_file(path)) << name;
}

}  // namespace mica
