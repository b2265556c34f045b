// One connection to a server, plain or through TLS, and what the client does with it.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mica {

class ByteReceiver {
 public:
  // `time`: right after the bytes were read. The last call has the error that ended the connection.
  virtual void received(boost::system::error_code error, std::string_view bytes,
                        std::chrono::steady_clock::time_point time) = 0;

 protected:
  ~ByteReceiver() = default;
};

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  using Clock = std::chrono::steady_clock;
  using ErrorCode = boost::system::error_code;
  using Tcp = boost::asio::ip::tcp;
  using TlsContext = boost::asio::ssl::context;

  // tls: null for a plain connection; outlives this.
  ClientConnection(boost::asio::io_context& io, TlsContext* tls);

  // To the first of `endpoints` that answers, then the handshake with `host`, then bytes are read
  // until the end. `connected` gets why it failed, or "".
  void connect(const std::vector<Tcp::endpoint>& endpoints, const std::string& host,
               std::function<void(const std::string& failure)> connected);
  // Who gets the bytes, from the next ones on; null: nobody. It lives until another one is named.
  void receiver(ByteReceiver* receiver) { receiver_ = receiver; }

  // An error shows in what is read. Not while another is being sent.
  void send(std::string bytes);
  bool sent() const { return !sending_; }
  void close();
  // Open, and neither bytes nor the end have come: fit for another request.
  bool quiet();

 private:
  void handshake(const std::string& host, std::function<void(const std::string&)> connected);
  void read();
  void received(ErrorCode error, size_t count);

  Tcp::socket socket_;
  std::optional<boost::asio::ssl::stream<Tcp::socket&>> tls_;
  ByteReceiver* receiver_ = nullptr;
  std::string out_;
  bool sending_ = false, ended_ = false;
  std::array<char, 16384> buffer_;
};

}  // namespace mica
