#include "bench/client/url.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mica {
namespace {

std::string parts(const std::string& text) {
  const Url url = parse_url(text);
  return std::string(url.secure ? "s " : "") + url.authority() + " " + url.prefix;
}

TEST(Url, HasItsParts) {
  EXPECT_EQ(parts("http://127.0.0.1:8000"), "127.0.0.1:8000 ");
  EXPECT_EQ(parts("http://host"), "host:80 ");
  EXPECT_EQ(parts("https://host/"), "s host:443 ");
  EXPECT_EQ(parts("https://host:8443/a/b//"), "s host:8443 /a/b");
  EXPECT_EQ(parts("http://[::1]"), "[::1]:80 ");
  EXPECT_EQ(parts("http://[::1]:8000/v"), "[::1]:8000 /v");
}

TEST(Url, RefusesOthers) {
  for (const char* text : {"", "host:80", "ftp://host", "http://", "http:///x", "http://:80",
                           "http://host:", "http://host:0", "http://host:65536", "http://host:8o",
                           "http://u:p@host", "http://host?x", "http://host/a#b", "http://[::1",
                           "http://[::1]x", "http://a b", "http://a\r\nX: y"})
    EXPECT_THROW(parse_url(text), Error) << text;
}

}  // namespace
}  // namespace mica
