#include "server/http_connection.h"

#include <sys/socket.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <cerrno>

#include "base/log.h"
#include "server/http_text.h"
#include "server/limits.h"
#include "server/server_error.h"

namespace mica {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

// The exchange of one request; later requests of its connection are not touched by it.
class HttpExchange final : public Exchange {
 public:
  HttpExchange(std::shared_ptr<Connection> connection, uint64_t number)
      : connection_(std::move(connection)), number_(number) {}
  ~HttpExchange() override;
  std::shared_ptr<RequestRecord> shared_record() const { return record_; }

  void post(std::function<void()> work) override {
    asio::post(connection_->executor(), std::move(work));
  }
  void respond(HttpResponse response) override;
  void begin_stream(HttpResponse head) override;
  void write(std::string_view bytes) override;
  void end_stream(bool complete) override;
  bool open() const override {
    return connection_->exchange_ == number_ && connection_->busy_ && !connection_->ended_;
  }
  void on_closed(std::function<void()> callback) override {
    if (open()) connection_->on_closed_ = std::move(callback);
  }
  void on_abort(std::function<void(const ApiError&)> callback) override {
    if (open()) connection_->on_abort_ = std::move(callback);
  }
  void after(std::chrono::milliseconds delay, std::function<void()> callback) override;

 private:
  void prepare(HttpResponse& head);
  void ended();
  const std::shared_ptr<Connection> connection_;
  const uint64_t number_;
};

HttpExchange::~HttpExchange() {
  if (connection_->host_.stopped) return;
  // Nobody is left to answer: the peer must not wait for ever.
  asio::post(connection_->executor(), [connection = connection_, number = number_] {
    if (connection->exchange_ == number && connection->busy_ && !connection->ended_)
      connection->shut(/*gone=*/true);
  });
}

// What every head says.
void HttpExchange::prepare(HttpResponse& head) {
  add_cors(head, connection_->host_.options.allowed_origins, connection_->origin_);
  head.headers.emplace_back("X-Request-Id", record_->id);
  record_->status = head.status;
  record_->error_code = head.error_code;
}

void HttpExchange::ended() {
  connection_->ended_ = true;
  connection_->on_closed_ = nullptr;
  connection_->on_abort_ = nullptr;
  connection_->timer_.cancel();
}

void HttpExchange::respond(HttpResponse response) {
  if (!open()) return;
  Connection& c = *connection_;
  prepare(response);
  c.keep_alive_ = c.keep_alive_ && !c.host_.draining;
  std::string bytes =
      response_head(response, BodyFraming::kLength, response.body.size(), c.keep_alive_);
  if (!c.head_only_) bytes += response.body;
  ended();
  c.send(std::move(bytes));
}

void HttpExchange::begin_stream(HttpResponse head) {
  if (!open()) return;
  Connection& c = *connection_;
  prepare(head);
  c.chunked_ = c.http_1_1_;
  c.keep_alive_ = c.keep_alive_ && c.chunked_ && !c.host_.draining;
  c.streaming_ = true;
  c.send(response_head(head, c.chunked_ ? BodyFraming::kChunked : BodyFraming::kUntilClose, 0,
                       c.keep_alive_));
}

void HttpExchange::write(std::string_view bytes) {
  if (!open() || bytes.empty() || connection_->head_only_) return;
  connection_->send(connection_->chunked_ ? chunk(bytes) : std::string(bytes));
}

void HttpExchange::end_stream(bool complete) {
  if (!open()) return;
  Connection& c = *connection_;
  c.cut_ = !complete;
  ended();
  c.send(complete && c.chunked_ && !c.head_only_ ? chunk("") : std::string());
}

void HttpExchange::after(std::chrono::milliseconds delay, std::function<void()> callback) {
  if (!open()) return;
  Connection& c = *connection_;
  c.timer_.expires_after(delay);  // cancels an earlier wait
  c.timer_.async_wait([connection = connection_, number = number_,
                       callback = std::move(callback)](beast::error_code error) {
    if (!error && connection->exchange_ == number && connection->busy_ && !connection->ended_)
      callback();
  });
}

Connection::Connection(Socket socket, std::shared_ptr<TlsContext> tls, ConnectionHost& host)
    : host_(host), stream_(std::move(socket), std::move(tls)), timer_(stream_.get_executor()) {
  ErrorCode ignored;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  const auto peer = stream_.socket().remote_endpoint(ignored);
  if (!ignored) peer_ = peer.address().to_string();
}

Connection::~Connection() {
  set_active(false);
  const std::lock_guard lock(host_.mutex);
  host_.connections.erase(this);
}

void Connection::run() {
  {
    const std::lock_guard lock(host_.mutex);
    host_.connections.emplace(this, weak_from_this());
  }
  asio::dispatch(stream_.get_executor(), [self = shared_from_this()] {
    if (!self->stream_.secure()) return self->read_header();
    self->stream_.tcp().expires_after(limits::kHandshakeTimeout);
    self->stream_.async_handshake([self](ErrorCode error) {
      if (error) return self->shut(true);
      self->read_header();
    });
  });
}

void Connection::set_active(bool active) {
  if (active != active_) host_.active += active ? 1 : size_t(-1);
  active_ = active;
}

void Connection::report() {
  const auto record = std::move(record_);
  record_ = nullptr;
  if (record && host_.options.on_request_end) host_.options.on_request_end(*record);
}

void Connection::abort(const ApiError& error, const std::string& model) {
  asio::post(stream_.get_executor(), [self = shared_from_this(), error, model] {
    if (!model.empty() && (!self->record_ || self->record_->model != model)) return;
    const auto callback = std::move(self->on_abort_);
    self->on_abort_ = nullptr;
    if (callback) callback(error);
  });
}

void Connection::close(bool also_when_busy) {
  asio::post(stream_.get_executor(), [self = shared_from_this(), also_when_busy] {
    const bool reading = self->parser_ && self->parser_->is_header_done();
    if (also_when_busy || (!self->busy_ && !reading)) self->shut(true);
  });
}

// Reading

void Connection::read_header() {
  if (closed_) return;
  if (host_.draining && buffer_.size() == 0 && exchange_ > 0) return linger();
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(host_.options.max_header_bytes));
  parser_->body_limit(host_.options.max_body_bytes);
  stream_.tcp().expires_after(limits::kIdleTimeout);
  http::async_read_header(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](ErrorCode error, size_t) { self->header_read(error); });
}

void Connection::header_read(ErrorCode error) {
  if (closed_) return;
  if (error) return read_failed(error);
  set_active(true);
  const auto length = parser_->content_length();
  const size_t bytes = length               ? static_cast<size_t>(*length)
                       : parser_->chunked() ? host_.options.max_body_bytes
                                            : 0;
  if (bytes > limits::kLargeBody) {
    if ((host_.large_bytes += bytes) > limits::kLargeBodiesInFlight) {
      host_.large_bytes -= bytes;
      return refuse(503, "too many large requests at one time; try again later");
    }
    lease_ = std::shared_ptr<void>(nullptr,
                                   [host = &host_, bytes](void*) { host->large_bytes -= bytes; });
  }
  if (!beast::iequals(parser_->get()[http::field::expect], "100-continue")) return read_body();
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                    [self = shared_from_this()](ErrorCode failed, size_t) {
                      if (failed) return self->shut(true);
                      self->read_body();
                    });
}

void Connection::read_body() {
  if (closed_) return;
  stream_.tcp().expires_after(limits::kBodyTimeout);
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](ErrorCode error, size_t) { self->body_read(error); });
}

void Connection::body_read(ErrorCode error) {
  if (closed_) return;
  if (error) return read_failed(error);
  stream_.tcp().expires_never();
  handle();
}

void Connection::read_failed(ErrorCode error) {
  const bool from_parser = error.category() == make_error_code(http::error::bad_method).category();
  if (!from_parser || error == http::error::end_of_stream || error == http::error::partial_message)
    return shut(true);
  if (error == http::error::body_limit)
    return refuse(413,
                  fmt::format("the body is larger than {} bytes", host_.options.max_body_bytes));
  if (error == http::error::header_limit)
    return refuse(
        431, fmt::format("the header is larger than {} bytes", host_.options.max_header_bytes));
  refuse(400, "malformed HTTP request: " + error.message());
}

// Answers what can't be handed over, and closes.
void Connection::refuse(int status, const std::string& message) {
  stream_.tcp().expires_never();
  ++exchange_;
  busy_ = true;
  set_active(true);
  ended_ = true;
  keep_alive_ = false;
  HttpResponse response = error_response({status, message});
  record_ = std::make_shared<RequestRecord>();
  record_->id = request_id("");
  record_->status = status;
  record_->peer = peer_;
  response.headers.emplace_back("X-Request-Id", record_->id);
  send(response_head(response, BodyFraming::kLength, response.body.size(), false) + response.body);
}

HttpRequest Connection::take_request() {
  auto message = parser_->release();
  HttpRequest request;
  request.method = std::string(message.method_string());
  for (const auto& field : message)
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  request.body = std::move(message.body());
  request.lease = std::move(lease_);
  const auto raw = message.target();
  if (auto target = parse_target({raw.data(), raw.size()})) {
    request.path = std::move(target->path);
    request.query = std::move(target->query);
  }
  http_1_1_ = message.version() >= 11;
  keep_alive_ = message.keep_alive();
  return request;
}

void Connection::handle() {
  HttpRequest request = take_request();
  if (request.path.empty()) return refuse(400, "malformed request target");
  origin_ = request.header("origin");
  head_only_ = request.method == "HEAD";
  ++exchange_;
  busy_ = true;
  ended_ = cut_ = chunked_ = streaming_ = false;
  auto exchange = std::make_shared<HttpExchange>(shared_from_this(), exchange_);
  record_ = exchange->shared_record();
  record_->id = request_id(request.header("x-request-id"));
  record_->method = request.method;
  record_->peer = peer_;
  record_->body_bytes = request.body.size();
  watch_peer();
  try {
    host_.handler(std::move(request), exchange);
  } catch (const std::exception& error) {
    log_error("[server] a handler failed: {}", error.what());
    exchange->respond(error_response({500, "internal error"}));
  }
}

// While an answer is made nothing is read, so the end of the connection has to be looked for.
void Connection::watch_peer() {
  if (watching_) return;
  watching_ = true;
  if (stream_.secure()) return watch_secure_peer();
  stream_.socket().async_wait(Socket::wait_read, [self = shared_from_this()](ErrorCode error) {
    self->watching_ = false;
    if (!error && self->busy_ && !self->closed_) self->peer_readable();
  });
}

void Connection::peer_readable() {
  char byte = 0;
  const ssize_t got = ::recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got == 0) return shut(true);
  if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return shut(true);
  if (got < 0) watch_peer();
  // else: the next request is there already; from here only writes notice the peer's end
}

// Under TLS only reading tells: what comes belongs to the next request.
void Connection::watch_secure_peer() {
  stream_.async_read_some(buffer_.prepare(4096),
                          [self = shared_from_this()](ErrorCode error, size_t bytes) {
                            self->watching_ = false;
                            self->buffer_.commit(bytes);
                            if (self->closed_) return;
                            const bool cancelled = error == asio::error::operation_aborted;
                            if (error && !(cancelled && self->waits_for_watch_))
                              return self->shut(true);
                            if (self->waits_for_watch_) self->go_on();
                          });
}

// Writing

void Connection::send(std::string bytes) {
  if (closed_) return;
  if (streaming_ && pending_.size() + bytes.size() > limits::kPendingBytes) {
    log_warning("[server] a reader is more than {} bytes behind: its stream is ended",
                limits::kPendingBytes);
    return shut(true);
  }
  if (record_) record_->sent_bytes += bytes.size();
  if (pending_.empty()) {
    pending_ = std::move(bytes);
  } else {
    pending_ += bytes;
  }
  if (!writing_) flush();
}

void Connection::flush() {
  if (pending_.empty()) {
    if (ended_) answered();
    return;
  }
  writing_ = true;
  out_.swap(pending_);
  stream_.tcp().expires_after(limits::kWriteTimeout);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](ErrorCode error, size_t) { self->written(error); });
}

void Connection::written(ErrorCode error) {
  writing_ = false;
  if (out_.capacity() > (size_t{64} << 10)) {
    std::string().swap(out_);
  } else {
    out_.clear();
  }
  if (closed_) return;
  if (error) return shut(true);
  flush();
}

void Connection::answered() {
  stream_.tcp().expires_never();
  busy_ = false;
  streaming_ = false;
  if (record_) record_->complete = !cut_;
  report();
  set_active(false);
  if (cut_) return shut(false);
  if (!watching_ || !stream_.secure()) return go_on();
  waits_for_watch_ = true;
  ErrorCode ignored;
  stream_.socket().cancel(ignored);
}

void Connection::go_on() {
  waits_for_watch_ = false;
  if (keep_alive_) return read_header();
  linger();
}

// Closing with unread bytes would reset the connection and may destroy the answer on its way: the
// peer gets a moment to read it and close.
void Connection::linger() {
  stream_.tcp().expires_after(std::chrono::seconds(2));  // in all, however slowly bytes come
  const auto end = [self = shared_from_this()](ErrorCode) {
    ErrorCode ignored;
    self->stream_.socket().shutdown(Socket::shutdown_send, ignored);
    if (!self->closed_) self->discard();
  };
  if (!stream_.secure()) return end({});
  stream_.async_shutdown(end);
}

void Connection::discard() {
  buffer_.consume(buffer_.size());
  stream_.tcp().async_read_some(buffer_.prepare(16384),
                                [self = shared_from_this()](ErrorCode error, size_t) {
                                  if (error || self->closed_) return self->shut(false);
                                  self->discard();
                                });
}

void Connection::shut(bool gone) {
  if (closed_) return;
  closed_ = true;
  busy_ = false;
  timer_.cancel();
  stream_.tcp().close();
  const std::function<void()> callback = std::move(on_closed_);
  on_closed_ = nullptr;
  on_abort_ = nullptr;
  if (gone && callback) callback();
  report();
  set_active(false);
}

}  // namespace mica
