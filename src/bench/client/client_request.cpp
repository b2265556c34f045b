#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <utility>

#include "bench/client/client_state.h"

namespace mica {
namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

namespace {

// How long the end of a response may come after the answer's, seconds.
constexpr double kGrace = 0.25;

bool known(double time) {
  return time != RequestSample::kNever;
}

}  // namespace

ClientRequest::ClientRequest(Client::Impl& client, Client::Handle handle, RequestSpec spec,
                             Client::Done done)
    : client_(client),
      handle_(handle),
      spec_(std::move(spec)),
      done_(std::move(done)),
      reader_(record_, spec_.form, spec_.keep_body, client.options.max_answer_bytes),
      timer_(client.io) {
  record_.id = spec_.id;
  record_.warmup = spec_.warmup;
  record_.group = spec_.group;
  record_.due = spec_.due;
  record_.wanted_input = spec_.wanted_input;
  record_.wanted_output = spec_.wanted_output;
}

void ClientRequest::wait_until_due() {
  auto begin = [self = shared_from_this()] {
    if (self->completed_) return;
    if (known(self->spec_.due)) self->client_.late(self->spec_.due, self->client_.now());
    self->start();
  };
  if (!known(spec_.due) || spec_.due <= client_.now()) return asio::post(client_.io, begin);
  timer_.expires_at(client_.clock_time(spec_.due));
  timer_.async_wait([begin](ErrorCode error) {
    if (!error) begin();
  });
}

void ClientRequest::start() {
  began_ = client_.now();
  if (client_.endpoints.empty()) return end(RequestStatus::kRefused, client_.unresolved);
  connection_ = client_.take_idle();
  if (connection_) {
    reused_ = true;
    connection_->receiver(this);
    return send();
  }
  connect();
}

void ClientRequest::connect() {
  connection_ = client_.new_connection();
  connection_->receiver(this);
  connection_->connect(client_.endpoints, client_.url.host,
                       [self = shared_from_this()](const std::string& failure) {
                         if (!self->completed_) self->connected(failure);
                       });
  watch();
}

void ClientRequest::connected(const std::string& failure) {
  if (failure.empty()) return send();
  end(RequestStatus::kRefused,
      fmt::format("no connection to {}: {}", client_.url.authority(), failure));
}

void ClientRequest::send() {
  const ClientOptions& options = client_.options;
  std::string bytes = fmt::format(
      "{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: mica-bench\r\nAccept: {}\r\n", spec_.method,
      client_.url.prefix, spec_.path, client_.url.authority(),
      spec_.form == AnswerForm::kStream ? "text/event-stream, application/json" : "*/*");
  if (!options.api_key.empty())
    bytes += fmt::format("Authorization: Bearer {}\r\n", options.api_key);
  for (const auto* headers : {&options.headers, &spec_.headers})
    for (const auto& [name, value] : *headers) bytes += fmt::format("{}: {}\r\n", name, value);
  if (!spec_.body.empty()) bytes += fmt::format("Content-Type: {}\r\n", spec_.content_type);
  if (!spec_.body.empty() || spec_.method == "POST")
    bytes += fmt::format("Content-Length: {}\r\n", spec_.body.size());
  bytes += options.keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  bytes += spec_.body;
  record_.sent = client_.now();
  connection_->send(std::move(bytes));
  watch();
}

void ClientRequest::received(ErrorCode error, std::string_view bytes,
                             std::chrono::steady_clock::time_point time) {
  if (error) gone_ = error == asio::error::eof ? "closed by the server" : error.message();
  client_.cost.bytes += static_cast<int64_t>(bytes.size());
  inbox_ += bytes;
  pieces_.push_back({inbox_.size(), client_.run_time(time)});
  if (!std::exchange(queued_, true)) client_.read_later(shared_from_this());
}

void ClientRequest::feed() {
  queued_ = false;
  size_t begin = 0;
  for (const Piece& piece : pieces_) {
    last_byte_ = piece.time;
    if (piece.end > begin)
      reader_.feed(std::string_view(inbox_).substr(begin, piece.end - begin), piece.time);
    begin = piece.end;
  }
  pieces_.clear();
  inbox_.clear();
}

// A server may end a connection between two requests, as llama.cpp's does behind each stream, and
// its word of that cross a request on its way (RFC 9112, 9.3.1). The request was not answered and
// is sent again, once, on a connection of its own; its times begin there. What ends later was the
// server's choice.
bool ClientRequest::begin_anew() {
  constexpr double kCrossing = 0.25;  // seconds
  if (!reused_ || gone_.empty() || !inbox_.empty() || known(record_.first_byte) ||
      client_.now() - record_.sent > kCrossing)
    return false;
  reused_ = false;
  ++client_.cost.sent_again;
  gone_.clear();
  queued_ = false;
  pieces_.clear();
  last_byte_ = record_.sent = RequestSample::kNever;
  connection_->close();
  connect();
  return true;
}

void ClientRequest::read_inbox() {
  if (completed_ || begin_anew()) return;
  const bool first = !known(last_byte_);
  feed();
  if (!gone_.empty()) reader_.connection_ended(gone_, last_byte_);
  if (!reader_.decided()) {
    if (first && spec_.deadlines.silence > 0) watch();
  } else if (!record_.ok() || reader_.finished() || !gone_.empty()) {
    complete();
  } else if (!known(decided_)) {
    decided_ = client_.now();
    watch();
  }
}

// The one that comes first, and what it says when it has come.
ClientRequest::Due ClientRequest::next_deadline() const {
  const RequestDeadlines& limits = spec_.deadlines;
  Due next{RequestSample::kNever, ""};
  const auto consider = [&next](double from, double seconds, const char* what) {
    if (!known(from) || seconds <= 0) return;
    if (!next.what.empty() && next.time <= from + seconds) return;
    next = {from + seconds, fmt::format("{} within {:g} s", what, seconds)};
  };
  if (known(decided_)) return {decided_ + kGrace, "no end of the response"};
  consider(began_, limits.total, "no end of the answer");
  if (!known(record_.sent)) consider(began_, limits.connect, "no connection");
  if (!known(record_.first_byte)) consider(record_.sent, limits.first_byte, "no byte of an answer");
  if (!known(record_.first_token)) consider(record_.sent, limits.first_token, "no token");
  if (known(record_.first_byte)) consider(last_byte_, limits.silence, "nothing more of the answer");
  return next;
}

void ClientRequest::watch() {
  const Due next = next_deadline();
  if (next.what.empty()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(client_.clock_time(next.time));
  timer_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (!error && !self->completed_) self->deadline();
  });
}

// What has come counts, also when nobody looked at it yet.
void ClientRequest::deadline() {
  read_inbox();
  if (completed_) return;
  const Due next = next_deadline();
  if (client_.now() < next.time) return watch();
  if (reader_.decided()) return complete();
  end(RequestStatus::kTimeout, next.what);
}

void ClientRequest::end(RequestStatus status, std::string error) {
  reader_.decide(status, std::move(error), client_.now());
  complete();
}

void ClientRequest::cancel() {
  if (completed_) return;
  read_inbox();
  if (!completed_) end(RequestStatus::kCancelled, "cancelled");
}

void ClientRequest::complete() {
  completed_ = true;
  timer_.cancel();
  client_.cost.chunks += reader_.pieces();
  if (connection_) {
    const bool fit = client_.options.keep_alive && gone_.empty() && reader_.reusable();
    if (fit) {
      client_.give_back(std::move(connection_));
    } else {
      connection_->close();
    }
    connection_.reset();
  }
  const auto self = shared_from_this();  // the map lets go
  client_.requests.erase(handle_);
  done_(std::move(record_));
}

}  // namespace mica
