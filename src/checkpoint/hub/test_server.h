// For tests: a small HTTP/1.1 server on 127.0.0.1, one thread a connection, everything bounded, and
// on top of it a hub with one repository whose answers a test can bend.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace mica::hub {

struct TestRequest {
  std::string method, target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // as long as Content-Length says
  std::string header(const std::string& name) const;
};

struct TestReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::optional<uint64_t> stated_length;  // instead of body.size()
  bool no_length = false;                 // no Content-Length: the end of the connection ends it
  size_t cut_after = SIZE_MAX;            // bytes of the body, then the connection is closed
  bool endless = false;                   // repeats the body, up to 1 GiB
  bool drop = false;                      // closes without an answer
  double stall_after_body = 0;            // seconds of silence before the connection is closed
  std::function<void()> before_body;      // runs when the headers are sent
};

class TestServer {
 public:
  using Handler = std::function<TestReply(const TestRequest&)>;
  explicit TestServer(Handler handler);
  ~TestServer();
  std::string url() const;
  std::vector<TestRequest> requests() const;
  // How many requests have this method and a target with this ending.
  int count(const std::string& method, const std::string& ending) const;
  void forget_requests();

 private:
  void accept_loop();
  void serve(int fd);
  void send_reply(int fd, const TestRequest& request, const TestReply& reply);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<TestRequest> requests_;
  std::list<std::thread> connections_;
  std::thread acceptor_;
};

// The bytes that a "Range: bytes=N-" asks for, as 206, else the whole as 200.
TestReply ranged_reply(const TestRequest& request, const std::string& content);

// One repository. Small files are answered directly with git hashes as etags; large ones by a
// redirect to a second origin, with X-Linked-Etag (SHA-256) and X-Linked-Size, as the hub does it.
class FakeHub {
 public:
  struct File {
    std::string content;
    bool large = false;
    std::string etag;  // filled by add(); a test may falsify it
  };
  explicit FakeHub(std::string repo = "org/tiny");

  void add(const std::string& name, std::string content, bool large = false);
  void add_model();  // config.json, tokenizer.json, model.safetensors (large) and a README.md
  std::string listing() const;

  std::string repo;
  std::string commit = "0123456789abcdef0123456789abcdef01234567";
  std::map<std::string, File> files;
  // A test's own answers; nullopt: the hub's. Called from several threads, one call at a time.
  std::function<std::optional<TestReply>(const TestRequest&)> at_hub, at_storage;

 private:
  TestReply answer(const TestRequest& request);
  TestReply answer_storage(const TestRequest& request);
  std::mutex mutex_;

 public:
  TestServer storage;  // started last: their threads use what is above
  TestServer server;
};

}  // namespace mica::hub
