// Pulls from a well-behaved hub over a bad network: layout, resume, retries, tokens, two processes.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "checkpoint/hub/hub_test_fixture.h"

namespace mica::hub {
namespace {

namespace fs = std::filesystem;
using Event = PullProgress::Event;

TEST_F(HubTest, WritesTheSharedLayout) {
  hub.add_model();
  hub.add("sub/extra.json", "[]");
  EXPECT_EQ(pull(), snapshot());
  expect_whole_model();
  EXPECT_EQ(read_text_file(repo_folder() / "refs" / "main"), hub.commit);
  EXPECT_EQ(fs::read_symlink(snapshot() / "config.json"),
            fs::path("../../blobs") / hub.files["config.json"].etag);
  EXPECT_EQ(fs::read_symlink(snapshot() / "sub" / "extra.json"),
            fs::path("../../../blobs") / hub.files["sub/extra.json"].etag);
  EXPECT_FALSE(fs::exists(snapshot() / "README.md"));
  EXPECT_TRUE(fs::exists(options.cache / ".locks" / "models--org--tiny" /
                         (hub.files["config.json"].etag + ".lock")));
  for (const auto& entry : fs::directory_iterator(repo_folder() / "blobs"))
    EXPECT_NE(entry.path().extension(), ".incomplete") << entry.path();
}

TEST_F(HubTest, SecondPullDownloadsNothing) {
  hub.add_model();
  pull();
  hub.server.forget_requests();
  hub.storage.forget_requests();
  EXPECT_EQ(pull(), snapshot());
  EXPECT_EQ(hub.server.requests().size(), 1u);  // the listing
  EXPECT_TRUE(hub.storage.requests().empty());
}

TEST_F(HubTest, NewCommitReusesBlobs) {
  hub.add_model();
  pull();
  hub.commit = std::string(40, 'b');
  hub.add("config.json", "{\"model_type\": \"qwen3\"}\n");
  hub.storage.forget_requests();
  EXPECT_EQ(pull(), snapshot());
  expect_whole_model();
  EXPECT_TRUE(hub.storage.requests().empty()) << "the weights did not change";
  EXPECT_EQ(read_text_file(repo_folder() / "refs" / "main"), hub.commit);
}

TEST_F(HubTest, EmptyAndEqualFilesNeedNoSpecialCare) {
  hub.add_model();
  hub.add("empty.txt", "");
  hub.add("copy/tokenizer.json", hub.files["tokenizer.json"].content);
  pull();
  EXPECT_EQ(read_text_file(snapshot() / "empty.txt"), "");
  EXPECT_EQ(read_text_file(snapshot() / "copy" / "tokenizer.json"), "{}\n");
}

TEST_F(HubTest, NamesAreEncodedInAddresses) {
  const std::string name = "a b#%c?.json";
  hub.add(name, "[1]");
  hub.at_hub = [&](const TestRequest& r) -> std::optional<TestReply> {
    if (r.target.find("/resolve/") == std::string::npos) return std::nullopt;
    EXPECT_EQ(r.target, "/org/tiny/resolve/" + hub.commit + "/a%20b%23%25c%3F.json");
    TestReply reply = ranged_reply(r, hub.files[name].content);
    reply.headers.emplace_back("ETag", "W/\"" + hub.files[name].etag + "\"");
    return reply;
  };
  pull();
  EXPECT_EQ(read_text_file(snapshot() / name), "[1]");
}

TEST_F(HubTest, TokenGoesToTheHubOnly) {
  hub.add_model();
  options.token = "hf_secret";
  pull();
  for (const TestRequest& r : hub.server.requests())
    EXPECT_EQ(r.header("authorization"), "Bearer hf_secret") << r.target;
  ASSERT_FALSE(hub.storage.requests().empty());
  for (const TestRequest& r : hub.storage.requests()) EXPECT_EQ(r.header("authorization"), "");
}

TEST_F(HubTest, RelativeRedirectOfARenamedRepository) {
  hub.add_model();
  hub.at_hub = [&](const TestRequest& r) -> std::optional<TestReply> {
    const size_t old = r.target.find("/org/tiny");
    if (old == std::string::npos || r.target.find("?moved") != std::string::npos) {
      TestRequest moved = r;
      moved.target.resize(moved.target.find("?moved"));
      if (moved.target.find("/resolve/") == std::string::npos) {
        TestReply reply;
        reply.body = hub.listing();
        return reply;
      }
      const FakeHub::File& file = hub.files.at(moved.target.substr(moved.target.rfind('/') + 1));
      TestReply reply = ranged_reply(r, file.content);
      reply.headers.emplace_back("ETag", "\"" + file.etag + "\"");
      return reply;
    }
    TestReply redirect;
    redirect.status = 307;
    redirect.headers = {{"Location", r.target + "?moved"}};
    return redirect;
  };
  pull();
  expect_whole_model();
}

// Small files of the hub: a relative redirect says etag and size, its target neither.
TEST_F(HubTest, RelativeRedirectWithLinkedSize) {
  hub.add("config.json", "{}");
  hub.at_hub = [&](const TestRequest& r) -> std::optional<TestReply> {
    TestReply reply;
    if (r.target == "/cache/config.json") {
      reply.body = "{}";
      reply.no_length = true;
      return reply;
    }
    if (!contains(r.target, "/resolve/")) return std::nullopt;
    reply.status = 307;
    reply.headers = {{"Location", "/cache/config.json"},
                     {"X-Linked-Etag", "\"" + hub.files["config.json"].etag + "\""},
                     {"X-Linked-Size", "2"}};
    return reply;
  };
  uint64_t total = 0;
  options.progress = [&](const PullProgress& p) { total = p.total_bytes; };
  pull();
  EXPECT_EQ(read_text_file(snapshot() / "config.json"), "{}");
  EXPECT_EQ(total, 2u);
}

TEST_F(HubTest, ResumesWhatAnEarlierPullLeft) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  fs::create_directories(repo_folder() / "blobs");
  write_text_file(incomplete("model.safetensors"), weights.substr(0, 100'000));
  uint64_t already = 0;
  options.progress = [&](const PullProgress& p) {
    if (p.event == Event::kPlanned) already = p.done_bytes;
  };
  pull();
  EXPECT_EQ(already, 100'000u);
  expect_whole_model();
  const auto requests = hub.storage.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].header("range"), "bytes=100000-");
  EXPECT_FALSE(fs::exists(incomplete("model.safetensors")));
}

TEST_F(HubTest, WholeIncompleteFileNeedsNoRequest) {
  hub.add_model();
  fs::create_directories(repo_folder() / "blobs");
  write_text_file(incomplete("model.safetensors"), hub.files["model.safetensors"].content);
  pull();
  expect_whole_model();
  EXPECT_TRUE(hub.storage.requests().empty());
}

TEST_F(HubTest, WrongBeginningIsReplaced) {
  hub.add_model();
  fs::create_directories(repo_folder() / "blobs");
  write_text_file(incomplete("model.safetensors"), std::string(100'000, 'x'));
  pull();
  expect_whole_model();
  EXPECT_EQ(hub.storage.requests().size(), 2u);
}

TEST_F(HubTest, ServerWithoutRangesStartsAgain) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  fs::create_directories(repo_folder() / "blobs");
  write_text_file(incomplete("model.safetensors"), weights.substr(0, 100'000));
  hub.at_storage = [&](const TestRequest&) {
    TestReply reply;
    reply.body = weights;
    return std::optional<TestReply>(reply);
  };
  pull();
  expect_whole_model();
}

TEST_F(HubTest, ClosedConnectionsContinue) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  int answers = 0;
  hub.at_storage = [&](const TestRequest& r) {
    TestReply reply = ranged_reply(r, weights);
    if (++answers <= 3) reply.cut_after = 70'000;
    return std::optional<TestReply>(reply);
  };
  pull();
  expect_whole_model();
  const auto requests = hub.storage.requests();
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[3].header("range"), "bytes=210000-");
}

TEST_F(HubTest, StalledConnectionIsGivenUpAndContinued) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  int answers = 0;
  hub.at_storage = [&](const TestRequest& r) {
    TestReply reply = ranged_reply(r, weights);
    if (++answers == 1) {
      reply.cut_after = 70'000;
      reply.stall_after_body = 20;
    }
    return std::optional<TestReply>(reply);
  };
  pull();
  expect_whole_model();
  EXPECT_EQ(answers, 2);
}

TEST_F(HubTest, ServerErrorsAreTriedAgain) {
  hub.add_model();
  std::map<std::string, int> seen;
  const auto fail_twice = [&](const TestRequest& r) -> std::optional<TestReply> {
    const int count = ++seen[r.method + r.target];
    if (count > 2) return std::nullopt;
    TestReply reply;
    reply.status = count == 1 ? 503 : 429;
    reply.drop = r.target.find("tokenizer") != std::string::npos;
    return reply;
  };
  hub.at_hub = hub.at_storage = fail_twice;
  options.patience.attempts = 5;  // the weights' answer is refused twice by each of two servers
  int notes = 0;
  options.progress = [&](const PullProgress& p) { notes += p.event == Event::kNote; };
  pull();
  expect_whole_model();
  EXPECT_GE(notes, 10);
}

TEST_F(HubTest, LastingServerErrorEndsAndKeepsWhatCame) {
  hub.add_model();
  const std::string& weights = hub.files["model.safetensors"].content;
  int answers = 0;
  hub.at_storage = [&](const TestRequest& r) {
    TestReply reply = ranged_reply(r, weights);
    if (++answers == 1)
      reply.cut_after = 50'000;
    else
      reply = TestReply{502};
    return std::optional<TestReply>(reply);
  };
  const std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "HTTP 502")) << message;
  EXPECT_TRUE(contains(message, "continues where it stopped")) << message;
  EXPECT_EQ(answers, options.patience.attempts);
  EXPECT_EQ(fs::file_size(incomplete("model.safetensors")), 50'000u);
  EXPECT_FALSE(fs::exists(repo_folder() / "refs" / "main"));
  EXPECT_EQ(find_model("org/tiny", options), std::nullopt);

  hub.at_storage = nullptr;
  hub.storage.forget_requests();
  pull();
  expect_whole_model();
  EXPECT_EQ(hub.storage.requests().at(0).header("range"), "bytes=50000-");
}

TEST_F(HubTest, UnreachableHubSaysWhatToCheck) {
  options.endpoint = "http://127.0.0.1:1";
  const std::string message = pull_error(ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "127.0.0.1:1")) << message;
  EXPECT_TRUE(contains(message, "HF_ENDPOINT")) << message;
}

TEST_F(HubTest, PatternsChooseFiles) {
  hub.add_model();
  hub.add("x.gguf", "gguf");
  options.include = {"*.gguf", "*.md"};
  options.exclude = {"READ*"};
  pull();
  EXPECT_TRUE(fs::exists(snapshot() / "x.gguf"));
  EXPECT_FALSE(fs::exists(snapshot() / "README.md"));
  EXPECT_FALSE(fs::exists(snapshot() / "config.json"));
  options.include = {"nothing*"};
  const std::string message = pull_error(ErrorKind::kUsage);
  EXPECT_TRUE(contains(message, "config.json")) << message;
}

TEST_F(HubTest, ProgressAddsUp) {
  hub.add_model();
  std::vector<PullProgress> events;
  options.progress = [&](const PullProgress& p) { events.push_back(p); };
  pull();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.front().event, Event::kPlanned);
  EXPECT_EQ(events.front().files_total, 3);
  EXPECT_GT(events.front().total_bytes, 300'000u);
  EXPECT_EQ(events.back().files_done, 3);
  EXPECT_EQ(events.back().done_bytes, events.back().total_bytes);
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](const PullProgress& p) { return p.event == Event::kDone; }),
            3);
}

// Runs `body` in a child process; its exit status.
template <typename F>
int in_child(F body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(HubTest, ProcessesShareOneDownload) {
  hub.add_model();
  // The first answer is slow, so that the others come while it runs.
  hub.at_storage = [&](const TestRequest& r) {
    TestReply reply = ranged_reply(r, hub.files["model.safetensors"].content);
    reply.before_body = [] { ::usleep(300'000); };
    return std::optional<TestReply>(reply);
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    ::alarm(60);
    try {
      ::_exit(pull() == snapshot() ? 0 : 2);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      ::_exit(1);
    }
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  expect_whole_model();
  EXPECT_EQ(hub.storage.requests().size(), 1u);
}

TEST_F(HubTest, FullDiskLeavesAStateToContinueFrom) {
  hub.add_model();
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails with EFBIG
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message = pull_error(ErrorKind::kCheckpoint);
    return contains(message, "free some space") && contains(message, ".incomplete") ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(fs::file_size(incomplete("model.safetensors")), 100'000u);
  hub.storage.forget_requests();
  pull();
  expect_whole_model();
  EXPECT_EQ(hub.storage.requests().at(0).header("range"), "bytes=100000-");
}

TEST_F(HubTest, FolderThatMayNotBeWritten) {
  hub.add_model();
  fs::create_directories(options.cache);
  fs::permissions(folder, fs::perms::all);
  fs::permissions(options.cache, fs::perms(0555));
  const int status = in_child([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 3;
    const std::string message = pull_error(ErrorKind::kCheckpoint);
    return contains(message, "make it writable") && contains(message, options.cache) ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  fs::permissions(options.cache, fs::perms(0755));
}

TEST_F(HubTest, ModelThatFitsOnNoDisk) {
  hub.add_model();
  hub.at_hub = [&](const TestRequest& r) -> std::optional<TestReply> {
    if (r.method != "HEAD" || !contains(r.target, "safetensors")) return std::nullopt;
    TestReply reply{302};
    reply.headers = {{"Location", hub.storage.url() + "/blobs/model.safetensors"},
                     {"X-Linked-Etag", hub.files["model.safetensors"].etag},
                     {"X-Linked-Size", "9000000000000000000"}};
    return reply;
  };
  const std::string message = pull_error(ErrorKind::kCheckpoint);
  EXPECT_TRUE(contains(message, "GB free")) << message;
}

}  // namespace
}  // namespace mica::hub
