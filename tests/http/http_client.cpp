#include "http/http_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace mica::test {

std::string Reply::header(std::string_view name) const {
  size_t line = head.find("\r\n");
  while (line != std::string::npos && line + 2 < head.size()) {
    line += 2;
    const size_t end = head.find("\r\n", line);
    const std::string text = head.substr(line, end - line);
    const size_t colon = text.find(':');
    if (colon == name.size() && ::strncasecmp(text.data(), name.data(), colon) == 0)
      return text.substr(text.find_first_not_of(' ', colon + 1));
    line = end;
  }
  return "";
}

std::vector<std::string> Reply::events() const {
  std::vector<std::string> out;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\n\n", at);
    const std::string event = body.substr(at, end - at);
    if (event.rfind("data: ", 0) == 0) out.push_back(event.substr(6));
    if (end == std::string::npos) break;
    at = end + 2;
  }
  return out;
}

Client::Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("can't connect");
}

Client::~Client() {
  close();
}

void Client::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the peer closed: the test sees it when it reads
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void Client::request(const std::string& method, const std::string& path, const std::string& body,
                     const std::string& headers) {
  send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", method,
                   path, body.size(), headers, body));
}

bool Client::fill() {
  pollfd waiting{socket_, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
  char bytes[16384];
  const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(got));
  return true;
}

bool Client::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos)
    if (!fill()) return false;
  return true;
}

bool Client::at_end() {
  while (true) {
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
    char bytes[4096];
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) return true;
  }
}

bool Client::read_chunks(Reply& reply) {
  while (true) {
    if (!read_until("\r\n")) return false;
    const size_t line = buffer_.find("\r\n");
    const size_t size = std::strtoull(buffer_.c_str(), nullptr, 16);
    while (buffer_.size() < line + 2 + size + 2)
      if (!fill()) return false;
    reply.body += buffer_.substr(line + 2, size);
    buffer_.erase(0, line + 2 + size + 2);
    if (size == 0) return true;
  }
}

std::optional<Reply> Client::reply(bool head_request) {
  if (!read_until("\r\n\r\n")) return std::nullopt;
  Reply reply;
  const size_t end = buffer_.find("\r\n\r\n") + 4;
  reply.head = buffer_.substr(0, end - 2);
  buffer_.erase(0, end);
  reply.status = std::atoi(reply.head.c_str() + reply.head.find(' '));
  if (head_request || reply.status == 204 || reply.status == 100) {
    reply.complete = true;
  } else if (reply.header("Transfer-Encoding") == "chunked") {
    reply.complete = read_chunks(reply);
  } else if (const std::string length = reply.header("Content-Length"); !length.empty()) {
    const size_t bytes = std::strtoull(length.c_str(), nullptr, 10);
    while (buffer_.size() < bytes && fill()) continue;
    reply.complete = buffer_.size() >= bytes;
    reply.body = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
  } else {
    while (fill()) continue;
    reply.body = std::move(buffer_);
    buffer_.clear();
    reply.complete = true;
  }
  return reply;
}

Reply ask(uint16_t port, const std::string& method, const std::string& path,
          const std::string& body) {
  Client client(port);
  client.request(method, path, body);
  return client.reply(method == "HEAD").value_or(Reply{});
}

}  // namespace mica::test
