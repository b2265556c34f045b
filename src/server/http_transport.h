// The bytes of a connection, plain or through TLS: to Asio and Beast one kind of stream.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <memory>
#include <optional>
#include <string>

namespace mica {

using TlsContext = boost::asio::ssl::context;

// TLS 1.2 and 1.3 with this certificate chain and key, PEM files. Throws Error(kUsage).
std::shared_ptr<TlsContext> make_tls_context(const std::string& cert_file,
                                             const std::string& key_file);

class Transport {
 public:
  using ErrorCode = boost::system::error_code;
  using executor_type = boost::beast::tcp_stream::executor_type;

  // tls: null for a plain connection.
  Transport(boost::asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> tls)
      : tcp_(std::move(socket)), context_(std::move(tls)) {
    if (context_) tls_.emplace(tcp_, *context_);
  }

  bool secure() const { return tls_.has_value(); }
  boost::beast::tcp_stream& tcp() { return tcp_; }  // time limits, the socket
  boost::asio::ip::tcp::socket& socket() { return tcp_.socket(); }
  executor_type get_executor() { return tcp_.get_executor(); }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(ErrorCode, size_t)>(
        [this](auto&& handler, const Buffers& to) {
          if (tls_) {
            tls_->async_read_some(to, std::forward<decltype(handler)>(handler));
          } else {
            tcp_.async_read_some(to, std::forward<decltype(handler)>(handler));
          }
        },
        token, buffers);
  }
  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(ErrorCode, size_t)>(
        [this](auto&& handler, const Buffers& from) {
          if (tls_) {
            tls_->async_write_some(from, std::forward<decltype(handler)>(handler));
          } else {
            tcp_.async_write_some(from, std::forward<decltype(handler)>(handler));
          }
        },
        token, buffers);
  }

  // Of secure ones.
  template <typename Handler>
  void async_handshake(Handler handler) {
    tls_->async_handshake(boost::asio::ssl::stream_base::server, std::move(handler));
  }
  template <typename Handler>
  void async_shutdown(Handler handler) {
    tls_->async_shutdown(std::move(handler));
  }

 private:
  boost::beast::tcp_stream tcp_;
  const std::shared_ptr<TlsContext> context_;  // shared with the server; it may take another
  std::optional<boost::asio::ssl::stream<boost::beast::tcp_stream&>> tls_;
};

}  // namespace mica
