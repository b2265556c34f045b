#include "checkpoint/hub/test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "checkpoint/hub/digest.h"

namespace mica::hub {
namespace {

constexpr size_t kMaxRequest = 64 << 10, kMaxBody = 1 << 20;
constexpr uint64_t kMaxEndless = uint64_t{1} << 30;

bool send_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, data, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

std::optional<TestRequest> read_request(int fd) {
  std::string text;
  char buffer[4096];
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0 || text.size() > kMaxRequest) return std::nullopt;
    text.append(buffer, static_cast<size_t>(n));
  }
  TestRequest request;
  size_t line_end = text.find("\r\n");
  const size_t first = text.find(' '), second = text.find(' ', first + 1);
  request.method = text.substr(0, first);
  request.target = text.substr(first + 1, second - first - 1);
  for (size_t begin = line_end + 2; (line_end = text.find("\r\n", begin)) != begin;
       begin = line_end + 2) {
    std::string line = text.substr(begin, line_end - begin);
    const size_t colon = line.find(": ");
    std::transform(line.begin(), line.begin() + static_cast<ptrdiff_t>(colon), line.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers[line.substr(0, colon)] = line.substr(colon + 2);
  }
  request.body = text.substr(line_end + 2);
  const size_t length = std::strtoull(request.header("content-length").c_str(), nullptr, 10);
  while (request.body.size() < std::min(length, kMaxBody)) {
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return std::nullopt;
    request.body.append(buffer, static_cast<size_t>(n));
  }
  return request;
}

bool ends_with(const std::string& text, const std::string& ending) {
  return text.size() >= ending.size() &&
         text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

}  // namespace

std::string TestRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

TestServer::TestServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  MICA_CHECK(::bind(listener_, generic, size) == 0 && ::listen(listener_, 64) == 0);
  MICA_CHECK(::getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

TestServer::~TestServer() {
  stopping_ = true;
  acceptor_.join();
  ::close(listener_);
  for (std::thread& connection : connections_) connection.join();
}

std::string TestServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::vector<TestRequest> TestServer::requests() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return requests_;
}

int TestServer::count(const std::string& method, const std::string& ending) const {
  int found = 0;
  for (const TestRequest& r : requests())
    found += r.method == method && ends_with(r.target, ending);
  return found;
}

void TestServer::forget_requests() {
  const std::lock_guard<std::mutex> guard(mutex_);
  requests_.clear();
}

void TestServer::accept_loop() {
  while (!stopping_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const timeval limit{5, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    connections_.emplace_back([this, fd] { serve(fd); });
  }
}

void TestServer::serve(int fd) {
  if (const auto request = read_request(fd)) {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      requests_.push_back(*request);
    }
    send_reply(fd, *request, handler_(*request));
  }
  ::close(fd);
}

void TestServer::send_reply(int fd, const TestRequest& request, const TestReply& reply) {
  if (reply.drop) return;
  std::string head = fmt::format("HTTP/1.1 {} Test\r\nConnection: close\r\n", reply.status);
  if (!reply.no_length)
    head += fmt::format("Content-Length: {}\r\n", reply.stated_length.value_or(reply.body.size()));
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  head += "\r\n";
  if (!send_all(fd, head.data(), head.size()) || request.method == "HEAD") return;
  if (reply.before_body) reply.before_body();
  if (!send_all(fd, reply.body.data(), std::min(reply.body.size(), reply.cut_after))) return;
  for (uint64_t sent = 0; reply.endless && sent < kMaxEndless; sent += reply.body.size())
    if (stopping_ || !send_all(fd, reply.body.data(), reply.body.size())) return;
  for (double waited = 0; waited < reply.stall_after_body && !stopping_; waited += 0.02)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

TestReply ranged_reply(const TestRequest& request, const std::string& content) {
  TestReply reply;
  const std::string range = request.header("range");
  if (range.rfind("bytes=", 0) != 0) {
    reply.body = content;
    return reply;
  }
  const auto from = static_cast<size_t>(std::strtoull(range.c_str() + 6, nullptr, 10));
  if (from >= content.size()) {
    reply.status = 416;
    return reply;
  }
  reply.status = 206;
  reply.body = content.substr(from);
  reply.headers.emplace_back(
      "Content-Range", fmt::format("bytes {}-{}/{}", from, content.size() - 1, content.size()));
  return reply;
}

FakeHub::FakeHub(std::string repo_id)
    : repo(std::move(repo_id)),
      storage([this](const TestRequest& request) { return answer_storage(request); }),
      server([this](const TestRequest& request) { return answer(request); }) {}

void FakeHub::add(const std::string& name, std::string content, bool large) {
  Digest digest(large ? DigestKind::kSha256 : DigestKind::kGitBlob, content.size());
  digest.update(content.data(), content.size());
  const std::lock_guard<std::mutex> guard(mutex_);
  files[name] = File{std::move(content), large, digest.hex()};
}

void FakeHub::add_model() {
  std::string weights(300'000, '\0');
  uint32_t state = 1;
  for (char& c : weights) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  add("config.json", "{\"model_type\": \"llama\"}\n");
  add("tokenizer.json", "{}\n");
  add("model.safetensors", weights, /*large=*/true);
  add("README.md", "# tiny\n");
}

std::string FakeHub::listing() const {
  std::string siblings;
  for (const auto& [name, file] : files)
    siblings += fmt::format("{}{{\"rfilename\": \"{}\"}}", siblings.empty() ? "" : ", ", name);
  return fmt::format("{{\"id\": \"{}\", \"sha\": \"{}\", \"siblings\": [{}]}}", repo, commit,
                     siblings);
}

TestReply FakeHub::answer(const TestRequest& request) {
  const std::lock_guard<std::mutex> guard(mutex_);
  if (at_hub)
    if (std::optional<TestReply> own = at_hub(request)) return *own;
  const std::string api = "/api/models/" + repo + "/revision/";
  if (request.target == api + "main" || request.target == api + commit) {
    TestReply reply;
    reply.body = listing();
    return reply;
  }
  const std::string resolve = "/" + repo + "/resolve/" + commit + "/";
  const auto found = request.target.rfind(resolve, 0) == 0
                         ? files.find(request.target.substr(resolve.size()))
                         : files.end();
  if (found == files.end()) {
    TestReply missing;
    missing.status = 404;
    missing.headers = {
        {"X-Error-Code", request.target.rfind("/api/", 0) == 0 ? "RepoNotFound" : "EntryNotFound"}};
    return missing;
  }
  const File& file = found->second;
  if (!file.large) {
    TestReply reply = ranged_reply(request, file.content);
    reply.headers.emplace_back("ETag", "\"" + file.etag + "\"");
    reply.headers.emplace_back("X-Repo-Commit", commit);
    return reply;
  }
  TestReply redirect;
  redirect.status = 302;
  redirect.body = "Found. Redirecting.";
  redirect.headers = {{"Location", storage.url() + "/blobs/" + found->first},
                      {"X-Linked-Etag", "\"" + file.etag + "\""},
                      {"X-Linked-Size", std::to_string(file.content.size())},
                      {"ETag", "\"of-the-redirect\""},
                      {"X-Repo-Commit", commit}};
  return redirect;
}

TestReply FakeHub::answer_storage(const TestRequest& request) {
  const std::lock_guard<std::mutex> guard(mutex_);
  if (at_storage)
    if (std::optional<TestReply> own = at_storage(request)) return *own;
  const auto found = files.find(request.target.substr(std::string("/blobs/").size()));
  TestReply missing;
  missing.status = 404;
  return found == files.end() ? missing : ranged_reply(request, found->second.content);
}

}  // namespace mica::hub
