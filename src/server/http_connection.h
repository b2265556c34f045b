// One connection: reads a request, hands it over, writes the answer, goes on. For http_server.cpp.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/http_server.h"
#include "server/http_transport.h"

namespace mica {

class Connection;

// What connections share. Outlives them.
struct ConnectionHost {
  HttpServerOptions options;
  HttpServer::Handler handler;
  std::atomic<bool> draining{false};
  std::atomic<bool> stopped{false};
  std::atomic<size_t> active{0};
  std::atomic<size_t> large_bytes{0};
  std::atomic<uint64_t> refused{0};  // connections
  std::mutex mutex;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections;  // under the mutex
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  Connection(Socket socket, std::shared_ptr<TlsContext> tls, ConnectionHost& host);
  ~Connection();

  // Thread-safe.
  void run();                       // registers and starts reading
  void close(bool also_when_busy);  // now, if it is idle or also when busy
  void abort(const ApiError& error, const std::string& model);  // see HttpServer::abort_requests
  Transport::executor_type executor() { return stream_.get_executor(); }

 private:
  friend class HttpExchange;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using ErrorCode = boost::beast::error_code;

  void read_header();
  void header_read(ErrorCode error);
  void read_body();
  void body_read(ErrorCode error);
  void handle();
  HttpRequest take_request();
  void set_active(bool active);
  void report();  // the record of a request that has ended
  void watch_peer();
  void peer_readable();
  void watch_secure_peer();
  void refuse(int status, const std::string& message);
  void read_failed(ErrorCode error);

  void send(std::string bytes);
  void flush();
  void written(ErrorCode error);
  void answered();  // all bytes of the answer are written
  void go_on();     // with the next request, or the end
  void linger();
  void discard();
  void shut(bool gone);  // closes the socket; `gone`: tells the handler's side

  ConnectionHost& host_;
  Transport stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::shared_ptr<void> lease_;
  boost::asio::steady_timer timer_;

  uint64_t exchange_ = 0;  // number of the current or last one
  bool active_ = false;    // counted as an active request
  bool busy_ = false;      // an exchange is open or its last bytes are being written
  bool ended_ = false;     // its answer is complete, though not written
  bool cut_ = false;       // close after the pending bytes, without an orderly end
  bool chunked_ = false, streaming_ = false, head_only_ = false;
  bool keep_alive_ = false;
  bool http_1_1_ = true;
  bool watching_ = false, writing_ = false, closed_ = false;
  bool waits_for_watch_ = false;  // the answer is written, a read of `watch_secure_peer` is pending
  std::string peer_, origin_;
  std::shared_ptr<RequestRecord> record_;  // shared with the exchange; null between requests
  std::string pending_, out_;
  std::function<void()> on_closed_;
  std::function<void(const ApiError&)> on_abort_;
};

}  // namespace mica
