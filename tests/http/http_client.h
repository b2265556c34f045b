// A small blocking HTTP/1.1 client over POSIX sockets: shows tests the bytes as they come.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica::test {

struct Reply {
  int status = 0;
  std::string head;                                 // status line and headers
  std::string body;                                 // without chunk framing
  bool complete = false;                            // the body ended as its framing says
  std::string header(std::string_view name) const;  // "" when absent
  // The payloads of "data:" events, in order.
  std::vector<std::string> events() const;
};

class Client {
 public:
  explicit Client(uint16_t port);
  ~Client();
  Client(Client&& other) noexcept : socket_(other.socket_), buffer_(std::move(other.buffer_)) {
    other.socket_ = -1;
  }

  void send(std::string_view bytes);
  // Of one request, with a Content-Length.
  void request(const std::string& method, const std::string& path, const std::string& body = "",
               const std::string& headers = "");
  // Reads one whole response; nullopt when the connection ends or `patience` passes before a head.
  std::optional<Reply> reply(bool head_request = false);
  // Reads until `text` has been seen; false at the end of the connection or of the patience.
  bool read_until(std::string_view text);
  bool at_end();  // the peer has closed (waits for it)
  void close();
  const std::string& buffered() const { return buffer_; }

  std::chrono::milliseconds patience{20000};

 private:
  bool fill();  // more bytes into buffer_
  bool read_chunks(Reply& reply);
  int socket_ = -1;
  std::string buffer_;
};

// One request on a connection of its own.
Reply ask(uint16_t port, const std::string& method, const std::string& path,
          const std::string& body = "");

}  // namespace mica::test
