#include "bench/client/client_connection.h"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace mica {
namespace asio = boost::asio;

ClientConnection::ClientConnection(asio::io_context& io, TlsContext* tls) : socket_(io) {
  if (tls) tls_.emplace(socket_, *tls);
}

void ClientConnection::connect(const std::vector<Tcp::endpoint>& endpoints, const std::string& host,
                               std::function<void(const std::string&)> connected) {
  asio::async_connect(socket_, endpoints,
                      [self = shared_from_this(), host, connected = std::move(connected)](
                          ErrorCode error, const Tcp::endpoint&) mutable {
                        if (error) return connected(error.message());
                        ErrorCode ignored;
                        self->socket_.set_option(Tcp::no_delay(true), ignored);
                        if (self->tls_) return self->handshake(host, std::move(connected));
                        connected("");
                        self->read();
                      });
}

void ClientConnection::handshake(const std::string& host,
                                 std::function<void(const std::string&)> connected) {
  ErrorCode ignored;
  const bool address = (asio::ip::make_address(host, ignored), !ignored);
  if (!address) SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  tls_->set_verify_callback(asio::ssl::host_name_verification(host));
  tls_->async_handshake(
      asio::ssl::stream_base::client,
      [self = shared_from_this(), connected = std::move(connected)](ErrorCode error) {
        if (error) return connected("TLS: " + error.message());
        connected("");
        self->read();
      });
}

void ClientConnection::read() {
  if (ended_) return;
  const auto to = asio::buffer(buffer_);
  auto handler = [self = shared_from_this()](ErrorCode error, size_t count) {
    self->received(error, count);
  };
  if (tls_) {
    tls_->async_read_some(to, std::move(handler));
  } else {
    socket_.async_read_some(to, std::move(handler));
  }
}

void ClientConnection::received(ErrorCode error, size_t count) {
  const Clock::time_point now = Clock::now();
  ended_ |= static_cast<bool>(error);
  if (receiver_) receiver_->received(error, {buffer_.data(), count}, now);
  read();
}

void ClientConnection::send(std::string bytes) {
  out_ = std::move(bytes);
  sending_ = true;
  auto handler = [self = shared_from_this()](ErrorCode, size_t) {
    self->sending_ = false;
    self->out_.clear();
  };
  if (tls_) {
    asio::async_write(*tls_, asio::buffer(out_), std::move(handler));
  } else {
    asio::async_write(socket_, asio::buffer(out_), std::move(handler));
  }
}

void ClientConnection::close() {
  receiver_ = nullptr;
  ended_ = true;
  ErrorCode ignored;
  socket_.close(ignored);
}

bool ClientConnection::quiet() {
  if (ended_ || sending_ || !socket_.is_open()) return false;
  char byte;
  return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace mica
