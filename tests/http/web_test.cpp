// The web page is served whole, with types and headers that browsers need to trust nothing else.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "http/test_app.h"
#include "server/web_files.h"

namespace mica::test {
namespace {

Reply ask_with_tag(uint16_t port, const std::string& path, const std::string& tags) {
  Client client(port);
  client.request("GET", path, "", "If-None-Match: " + tags + "\r\n");
  return client.reply(/*head_request=*/true).value_or(Reply{});
}

TEST(Web, EveryFileHasItsTypeAndTag) {
  TestApp app;  // while the model loads, too
  std::set<std::string> tags;
  for (const WebFile& file : web_files()) {
    const std::string path(file.path);
    const Reply reply = app.get(path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_EQ(reply.body, file.content) << path;
    EXPECT_FALSE(reply.body.empty()) << path;
    const std::string type = path == "/"              ? "text/html; charset=utf-8"
                             : path.ends_with(".css") ? "text/css; charset=utf-8"
                             : path.ends_with(".svg") ? "image/svg+xml"
                                                      : "text/javascript; charset=utf-8";
    EXPECT_EQ(reply.header("Content-Type"), type) << path;
    EXPECT_EQ(reply.header("X-Content-Type-Options"), "nosniff") << path;
    EXPECT_EQ(reply.header("Cache-Control"), "no-cache") << path;
    tags.insert(reply.header("ETag"));
  }
  EXPECT_GT(web_files().size(), 10u);
  EXPECT_EQ(tags.size(), web_files().size());
}

TEST(Web, PolicyLetsNothingInline) {
  TestApp app;
  const Reply reply = app.get("/");
  const std::string policy = reply.header("Content-Security-Policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(policy.find("script-src 'self';"), std::string::npos);
  EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  // The page keeps to it: scripts and styles are files, no handler or style stands in a tag.
  EXPECT_FALSE(std::regex_search(
      reply.body, std::regex("<script(?![^>]* src=)|<style|[ \n]on[a-z]+=|[ \n]style=")));
}

TEST(Web, PageAndModulesNameOnlyFilesThatAreThere) {
  const std::regex in_page("(?:src|href)=\"(web/[^\"#]+)\""), in_module("from '\\./([^']+)'");
  int found = 0;
  for (const WebFile& file : web_files()) {
    const bool page = file.path == "/";
    const std::string text(file.content);
    for (std::sregex_iterator i(text.begin(), text.end(), page ? in_page : in_module), end;
         i != end; ++i) {
      const std::string path = (page ? "/" : "/web/") + (*i)[1].str();
      EXPECT_NE(find_web_file(path), nullptr) << file.path << " names " << path;
      ++found;
    }
  }
  EXPECT_GT(found, 10);
}

TEST(Web, ATagThatIsKnownGets304) {
  TestApp app;
  const std::string tag = app.get("/web/main.js").header("ETag");
  ASSERT_EQ(tag.size(), 18u);
  for (const std::string& tags : {tag, "W/" + tag, "\"x\", " + tag, std::string("*")}) {
    const Reply reply = ask_with_tag(app.port(), "/web/main.js", tags);
    EXPECT_EQ(reply.status, 304) << tags;
    EXPECT_EQ(reply.body, "");
    EXPECT_EQ(reply.header("Content-Length"), "");
    EXPECT_EQ(reply.header("ETag"), tag);
  }
  EXPECT_EQ(ask_with_tag(app.port(), "/web/main.js", "\"x\", \"y\"").status, 200);
  for (const char* odd : {"", ",", ",,", "W/", "\"", "\"\"", " , W/ ,", "x"})
    EXPECT_EQ(ask_with_tag(app.port(), "/web/main.js", odd).status, 200) << odd;
}

TEST(Web, A304LeavesTheConnectionUsable) {
  TestApp app;
  const std::string tag = app.get("/").header("ETag");
  Client client(app.port());
  client.request("GET", "/", "", "If-None-Match: " + tag + "\r\n");
  ASSERT_EQ(client.reply(/*head_request=*/true)->status, 304);
  client.request("GET", "/web/main.js");
  const auto reply = client.reply();
  ASSERT_TRUE(reply && reply->complete);
  EXPECT_EQ(reply->status, 200);
}

TEST(Web, UnknownFilesAndMethods) {
  TestApp app;
  for (const char* path : {"/web/", "/web/none.js", "/web/index.html", "/web/../web/main.js",
                           "/web/tests/unit.js", "/web//main.js", "/web/main.js/"})
    EXPECT_EQ(app.get(path).status, 404) << path;
  const Reply post = app.post("/", Json::object());
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(post.header("Allow"), "GET, OPTIONS");
  const Reply head = ask(app.port(), "HEAD", "/");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), std::to_string(find_web_file("/")->content.size()));
}

TEST(Web, CanBeLeftOut) {
  AppOptions options;
  options.http.port = 0;
  options.webui = false;
  App app(options);
  EXPECT_EQ(ask(app.port(), "GET", "/").status, 404);
  EXPECT_EQ(ask(app.port(), "GET", "/web/main.js").status, 404);
  EXPECT_EQ(ask(app.port(), "GET", "/health").status, 503);
}

}  // namespace
}  // namespace mica::test
