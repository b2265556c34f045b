// Refusals and hostile answers: clear errors, nothing outside the cache, other files kept.
#include <algorithm>

#include "checkpoint/hub/hub_test_fixture.h"
#include "checkpoint/hub/listing.h"

namespace mica::hub {
namespace {

namespace fs = std::filesystem;

// Answers every request whose target contains `part`.
auto always(const std::string& part, const TestReply& reply) {
  return [part, reply](const TestRequest& r) {
    return contains(r.target, part) ? std::optional<TestReply>(reply) : std::nullopt;
  };
}

TEST_F(HubTest, GatedModelSaysWhatToDo) {
  TestReply gated{403};
  gated.headers = {{"X-Error-Code", "GatedRepo"},
                   {"X-Error-Message", "Access to model org/tiny is restricted."}};
  hub.at_hub = always("/api/", gated);
  std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "gated")) << message;
  EXPECT_TRUE(contains(message, options.endpoint + "/org/tiny")) << message;
  EXPECT_TRUE(contains(message, "set HF_TOKEN")) << message;
  EXPECT_TRUE(contains(message, "is restricted")) << message;
  options.token = "hf_abc";
  options.token_source = "HF_TOKEN";
  message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "the token from HF_TOKEN was sent")) << message;
  EXPECT_FALSE(contains(message, "hf_abc")) << message;
}

TEST_F(HubTest, GatedFilesAfterAnOpenListing) {
  hub.add_model();
  TestReply gated{401};
  gated.headers = {{"X-Error-Code", "GatedRepo"}};
  hub.at_hub = always("/resolve/", gated);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "gated"));
}

TEST_F(HubTest, UnknownNames) {
  const std::string private_or_none = "doesn't exist";
  hub.at_hub = always("/api/", TestReply{401});
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), private_or_none));
  hub.at_hub = nullptr;
  hub.repo = "org/other";
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), private_or_none));
  hub.at_hub = always("/api/", TestReply{404});
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "404"));
  TestReply revision{404};
  revision.headers = {{"X-Error-Code", "RevisionNotFound"}};
  hub.at_hub = always("/api/", revision);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "no branch, tag or commit 'main'"));
  EXPECT_EQ(hub.server.requests().size(), 4u) << "refusals are not tried again";
}

TEST_F(HubTest, ListedButMissingFileIsNoted) {
  hub.add_model();
  TestReply missing{404};
  missing.headers = {{"X-Error-Code", "EntryNotFound"}};
  hub.at_hub = always("tokenizer.json", missing);
  const std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "tokenizer.json")) << message;
  EXPECT_TRUE(fs::exists(repo_folder() / ".no_exist" / hub.commit / "tokenizer.json"));
}

TEST_F(HubTest, WrongHashRemovesThatFileOnly) {
  hub.add_model();
  std::string wrong = hub.files["model.safetensors"].content;
  wrong[1234] ^= 1;
  hub.at_storage = [&](const TestRequest& r) {
    return std::optional<TestReply>(ranged_reply(r, wrong));
  };
  const std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "SHA-256")) << message;
  EXPECT_TRUE(contains(message, "model.safetensors")) << message;
  EXPECT_FALSE(fs::exists(incomplete("model.safetensors")));
  EXPECT_FALSE(fs::exists(blob("model.safetensors")));
  EXPECT_FALSE(fs::exists(fs::symlink_status(snapshot() / "model.safetensors")));
  EXPECT_EQ(read_text_file(snapshot() / "config.json"), hub.files["config.json"].content);
  EXPECT_EQ(read_text_file(snapshot() / "tokenizer.json"), hub.files["tokenizer.json"].content);
  EXPECT_FALSE(fs::exists(repo_folder() / "refs" / "main"));
}

TEST_F(HubTest, WrongGitHash) {
  hub.add_model();
  hub.files["config.json"].etag = std::string(40, '1');
  const std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "git hash")) << message;
  EXPECT_FALSE(fs::exists(blob("config.json")));
}

TEST_F(HubTest, BodyBeyondTheStatedSize) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  TestReply more;
  more.body = weights + "more";
  hub.at_storage = always("", more);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "announces"));
  more.body = weights;
  more.no_length = more.endless = true;
  hub.at_storage = always("", more);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "the server sends more"));
  EXPECT_FALSE(fs::exists(blob("model.safetensors")));
  EXPECT_LE(fs::file_size(incomplete("model.safetensors")), weights.size());
}

TEST_F(HubTest, EndlessBodyOfNoStatedSize) {
  hub.add("config.json", "{}");
  TestReply endless;
  endless.headers = {{"ETag", "\"" + std::string(40, '2') + "\""}};
  endless.body = std::string(1 << 20, ' ');
  endless.no_length = endless.endless = true;
  hub.at_hub = always("/resolve/", endless);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "at most"));
}

TEST_F(HubTest, NoStatedSizeIsFineOtherwise) {
  hub.add("config.json", "{\"a\": 1}");
  TestReply plain;
  plain.headers = {{"ETag", "\"" + hub.files["config.json"].etag + "\""}};
  plain.body = hub.files["config.json"].content;
  plain.no_length = true;
  hub.at_hub = always("/resolve/", plain);
  pull();
  EXPECT_EQ(read_text_file(snapshot() / "config.json"), "{\"a\": 1}");
  // Cut short, the same answer can only be told by its hash.
  hub.commit = std::string(40, 'c');
  hub.add("config.json", "{\"a\": 2}");
  plain.headers = {{"ETag", "\"" + hub.files["config.json"].etag + "\""}};
  plain.body = "{\"a\":";
  hub.at_hub = always("/resolve/", plain);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "git hash"));
}

TEST_F(HubTest, WrongContentRange) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  fs::create_directories(repo_folder() / "blobs");
  write_text_file(incomplete("model.safetensors"), weights.substr(0, 100'000));
  TestReply reply{206};
  reply.headers = {{"Content-Range", "bytes 50000-299999/300000"}};
  reply.body = weights.substr(100'000);
  hub.at_storage = always("", reply);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "Content-Range"));
}

TEST_F(HubTest, HugeHeaders) {
  TestReply reply;
  for (int i = 0; i < 100; ++i)
    reply.headers.emplace_back("X-" + std::to_string(i), std::string(10'000, 'x'));
  hub.at_hub = always("/api/", reply);
  const std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "headers")) << message;
}

TEST_F(HubTest, EndlessListing) {
  TestReply reply;
  reply.body = std::string(1 << 20, '[');
  reply.no_length = reply.endless = true;
  hub.at_hub = always("/api/", reply);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "MiB"));
}

TEST_F(HubTest, EndlessErrorPage) {
  TestReply reply{404};
  reply.body = std::string(1 << 20, 'e');
  reply.no_length = reply.endless = true;
  hub.at_hub = always("/api/", reply);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "404"));
}

TEST_F(HubTest, HostileEtagsAndRedirects) {
  hub.add("config.json", "{}");
  for (const char* etag : {"../../../../evil", "", "a/b", ".."}) {
    TestReply reply;
    reply.headers = {{"X-Linked-Etag", etag}, {"X-Linked-Size", "2"}};
    reply.body = "{}";
    hub.at_hub = always("/resolve/", reply);
    EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "ETag")) << etag;
  }
  TestReply loop{302};
  loop.headers = {{"Location", "/loop/resolve/"}};
  hub.at_hub = always("/resolve/", loop);
  EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "redirects more than"));
  for (const char* target : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:1/"}) {
    TestReply away{302};
    away.headers = {{"Location", target}};
    hub.at_hub = always("/resolve/", away);
    EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "http")) << target;
  }
}

TEST_F(HubTest, FileNamesThatLeaveTheCache) {
  for (const char* name : {"../../../../evil.json", "/tmp/mica_evil.json", "a/../../evil.json",
                           "a\\\\..\\\\evil.json", "a\\u0000.json", "a\\n.json", ""}) {
    TestReply reply;
    reply.body = fmt::format(
        "{{\"sha\": \"{}\", \"siblings\": [{{\"rfilename\": \"ok.json\"}}, {{\"rfilename\": "
        "\"{}\"}}]}}",
        hub.commit, name);
    hub.at_hub = always("/api/", reply);
    EXPECT_TRUE(contains(pull_error(ErrorKind::kNetwork), "leave the cache")) << name;
  }
  EXPECT_FALSE(fs::exists(options.cache)) << "nothing was written";
  EXPECT_FALSE(fs::exists("/tmp/mica_evil.json"));
}

TEST_F(HubTest, FileAndFolderOfOneName) {
  hub.add("a.json", "{}");
  hub.add("a.json/b.json", "{}");
  options.parallel = 1;
  EXPECT_TRUE(contains(pull_error(ErrorKind::kCheckpoint), "a.json"));
}

TEST(Listing, BadJson) {
  const std::string commit(40, 'a');
  const std::string cases[] = {
      "",
      "null",
      "[]",
      "{",
      "<html>",
      "{}",
      "{\"sha\": 1, \"siblings\": []}",
      "{\"sha\": \"../..\", \"siblings\": []}",
      "{\"sha\": \"\", \"siblings\": []}",
      "{\"sha\": \"" + commit + "\"}",
      "{\"sha\": \"" + commit + "\", \"siblings\": {}}",
      "{\"sha\": \"" + commit + "\", \"siblings\": [1]}",
      "{\"sha\": \"" + commit + "\", \"siblings\": [{\"rfilename\": 3}]}",
      "{\"sha\": \"" + commit + "\", \"siblings\": [{\"rfilename\": \"\xff\xfe\"}]}",
      std::string(1'000'000, '['),
      "{\"a\":" + std::string(100'000, '{')};
  for (const std::string& text : cases) {
    try {
      parse_listing(text, "http://hub/api");
      ADD_FAILURE() << text.substr(0, 60);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kNetwork);
      EXPECT_LT(std::string(e.what()).size(), 600u);
    }
  }
  const Listing good =
      parse_listing("{\"sha\": \"" + commit +
                        "\", \"siblings\": [{\"rfilename\": \"b\"}, {\"rfilename\": \"a\"}, "
                        "{\"rfilename\": \"a\"}], \"config\": {\"x\": [1, {\"y\": null}]}}",
                    "");
  EXPECT_EQ(good.commit, commit);
  EXPECT_EQ(good.files, (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace mica::hub
