#include "stream_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace mica {
namespace {

constexpr std::string_view kEvent = "data: ", kDone = "data: [DONE]";
constexpr int kPatience = 120'000;  // ms without a byte from anybody

double thread_cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class Stream {
 public:
  explicit Stream(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
      throw Error(ErrorKind::kMeasurement, "[serving] can't connect to port {}", port);
  }
  ~Stream() {
    if (socket_ >= 0) ::close(socket_);
  }
  Stream(Stream&& other) noexcept : socket_(other.socket_), partial_(std::move(other.partial_)) {
    other.socket_ = -1;
  }

  int socket() const { return socket_; }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw Error(ErrorKind::kMeasurement, "[serving] a request could not be sent");
      text.remove_prefix(static_cast<size_t>(sent));
    }
  }

  // Takes what has come; true at the end of the stream.
  bool read(StreamLoad& load) {
    char buffer[16384];
    const ssize_t count = recv(socket_, buffer, sizeof(buffer), 0);
    if (count <= 0)
      throw Error(ErrorKind::kMeasurement,
                  "[serving] a stream ended without [DONE]; last came '{}'", partial_);
    load.bytes += count;
    partial_.append(buffer, static_cast<size_t>(count));
    bool done = false;
    size_t line = 0;
    for (size_t end = 0; (end = partial_.find('\n', line)) != std::string::npos; line = end + 1) {
      const std::string_view text(partial_.data() + line, end - line);
      load.events += text.starts_with(kEvent);
      done |= text.starts_with(kDone);
    }
    partial_.erase(0, line);
    return done;
  }

 private:
  int socket_;
  std::string partial_;
};

}  // namespace

StreamLoad run_streams(uint16_t port, const std::string& path,
                       const std::vector<std::string>& bodies) {
  std::vector<Stream> open;
  for (size_t i = 0; i < bodies.size(); ++i) open.emplace_back(port);
  std::vector<pollfd> polled;
  for (const Stream& stream : open) polled.push_back({stream.socket(), POLLIN, 0});

  StreamLoad load;
  const double cpu = thread_cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < open.size(); ++i)
    open[i].send(
        fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                    path, bodies[i].size(), bodies[i]));
  for (size_t left = open.size(); left > 0;) {
    if (poll(polled.data(), polled.size(), kPatience) <= 0)
      throw Error(ErrorKind::kMeasurement, "[serving] nothing came for {} s", kPatience / 1000);
    for (size_t i = 0; i < open.size(); ++i) {
      if (polled[i].revents == 0 || !open[i].read(load)) continue;
      polled[i].fd = -1;
      --left;
    }
  }
  load.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  load.cpu_seconds = thread_cpu_seconds() - cpu;
  return load;
}

}  // namespace mica
