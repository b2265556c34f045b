#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "fake_engine/engine_state.h"

namespace mica::fake {
namespace asio = boost::asio;
namespace http = boost::beast::http;

FakeConnection::FakeConnection(FakeEngine::Impl& engine, asio::ip::tcp::socket socket)
    : engine_(engine), socket_(std::move(socket)) {
  ErrorCode ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (engine.tls) tls_.emplace(socket_, *engine.tls);
  engine.open.insert(this);
}

FakeConnection::~FakeConnection() {
  engine_.open.erase(this);
}

void FakeConnection::run() {
  const std::string& identity = engine_.script.start.identity;
  if (identity == "ssh") write("SSH-2.0-OpenSSH_9.2\r\n");
  if (identity == "silent" || identity == "ssh") return discard();
  if (!tls_) return read();
  tls_->async_handshake(asio::ssl::stream_base::server,
                        [self = shared_from_this()](ErrorCode error) {
                          if (!error) self->read();
                        });
}

// Takes what comes and says nothing.
void FakeConnection::discard() {
  socket_.async_read_some(buffer_.prepare(4096),
                          [self = shared_from_this()](ErrorCode error, size_t) {
                            if (error) return self->shut();
                            self->discard();
                          });
}

void FakeConnection::read() {
  parser_.emplace();
  parser_->body_limit(uint64_t{256} << 20);
  auto handler = [self = shared_from_this()](ErrorCode error, size_t) {
    if (error) {
      self->shut();
    } else {
      self->requested();
    }
  };
  if (tls_) {
    http::async_read(*tls_, buffer_, *parser_, std::move(handler));
  } else {
    http::async_read(socket_, buffer_, *parser_, std::move(handler));
  }
}

void FakeConnection::requested() {
  auto request = parser_->release();
  keep_alive_ = request.keep_alive();
  engine_.handle(shared_from_this(), std::string(request.method_string()),
                 std::string(request.target()), std::move(request.body()),
                 std::string(request[http::field::authorization]));
}

void FakeConnection::write(std::string bytes) {
  if (closed_ || closing_) return;
  pending_ += bytes;
  if (!writing_) flush();
}

void FakeConnection::flush() {
  out_.swap(pending_);
  pending_.clear();
  writing_ = true;
  auto handler = [self = shared_from_this()](ErrorCode error, size_t) {
    self->writing_ = false;
    if (error) self->pending_.clear();
    if (!self->pending_.empty()) return self->flush();
    if (self->closing_) self->shut();
  };
  if (tls_) {
    asio::async_write(*tls_, asio::buffer(out_), std::move(handler));
  } else {
    asio::async_write(socket_, asio::buffer(out_), std::move(handler));
  }
}

void FakeConnection::reply(const Reply& reply) {
  const char* reason = reply.status == 200 ? "OK" : "Error";
  write(
      fmt::format("HTTP/1.1 {} {}\r\nServer: fake_engine\r\nContent-Type: {}\r\n"
                  "Content-Length: {}\r\n\r\n{}",
                  reply.status, reason, reply.content_type, reply.body.size(), reply.body));
  answered();
}

void FakeConnection::answered() {
  on_gone_ = nullptr;
  if (!keep_alive_) return close();
  if (!watching_) return read();
  read_when_readable_ = true;
}

void FakeConnection::close() {
  closing_ = true;
  if (!writing_) shut();
}

void FakeConnection::reset() {
  ErrorCode ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  shut();
}

void FakeConnection::shut() {
  if (std::exchange(closed_, true)) return;
  on_gone_ = nullptr;
  ErrorCode ignored;
  socket_.close(ignored);
}

void FakeConnection::on_gone(std::function<void()> callback) {
  on_gone_ = std::move(callback);
  if (!watching_) watch();
}

// A client that waits for its answer sends nothing: what can be read is the end.
void FakeConnection::watch() {
  watching_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](ErrorCode error) {
                       self->watching_ = false;
                       if (error || self->closed_) return;
                       if (std::exchange(self->read_when_readable_, false)) return self->read();
                       if (!self->on_gone_) return;
                       const auto gone = std::exchange(self->on_gone_, nullptr);
                       self->shut();
                       gone();
                     });
}

}  // namespace mica::fake
