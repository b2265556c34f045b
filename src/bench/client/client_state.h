// The insides of the client: its requests and what they share.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <unordered_map>

#include "bench/client/answer_reader.h"
#include "bench/client/client.h"
#include "bench/client/client_connection.h"
#include "bench/client/url.h"

namespace mica {

// One submitted request. Bytes are only stamped and kept when they come; they are looked at when no
// connection has any, so that the times of one stream don't wait for the parsing of another.
class ClientRequest final : public ByteReceiver,
                            public std::enable_shared_from_this<ClientRequest> {
 public:
  ClientRequest(Client::Impl& client, Client::Handle handle, RequestSpec spec, Client::Done done);

  void wait_until_due();
  void received(boost::system::error_code error, std::string_view bytes,
                std::chrono::steady_clock::time_point time) override;
  void read_inbox();  // looks at what has come; may end the request
  void cancel();

 private:
  struct Piece {
    size_t end;  // in inbox_
    double time;
  };
  void start();
  void connect();
  bool begin_anew();
  void connected(const std::string& failure);
  void send();
  void watch();  // the next deadline
  void deadline();
  void feed();
  void end(RequestStatus status, std::string error);
  void complete();
  struct Due {
    double time;
    std::string what;
  };
  Due next_deadline() const;

  Client::Impl& client_;
  const Client::Handle handle_;
  const RequestSpec spec_;
  const Client::Done done_;
  RequestSample record_;
  AnswerReader reader_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<ClientConnection> connection_;
  double began_ = RequestSample::kNever;    // the connection was asked for
  double decided_ = RequestSample::kNever;  // complete but for the end of the HTTP body
  double last_byte_ = RequestSample::kNever;
  std::string inbox_;
  std::vector<Piece> pieces_;
  std::string gone_;  // why the connection ended; empty = it did not
  bool queued_ = false, completed_ = false;
  bool reused_ = false;  // the connection had requests before, and is not known to be open
  friend struct Client::Impl;
};

struct Client::Impl {
  explicit Impl(const ClientOptions& client_options);
  ~Impl();

  double now() const { return run_time(Clock::now()); }
  double run_time(Clock::time_point time) const {
    return std::chrono::duration<double>(time - epoch).count();
  }
  Clock::time_point clock_time(double time) const {
    return epoch + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time));
  }
  void late(double due, double now);  // a timer came

  std::shared_ptr<ClientConnection> take_idle();
  std::shared_ptr<ClientConnection> new_connection();
  void give_back(std::shared_ptr<ClientConnection> connection);
  void read_later(std::shared_ptr<ClientRequest> request);
  void read_some();
  void schedule_reading();
  void cancel_all();
  void at(double time, std::function<void()> work);
  void run();

  // A connection between two requests: whatever comes ends it.
  struct Idle final : ByteReceiver {
    explicit Idle(Impl& client) : client(client) {}
    void received(boost::system::error_code, std::string_view,
                  std::chrono::steady_clock::time_point) override;
    Impl& client;
    std::shared_ptr<ClientConnection> connection;
  };

  const ClientOptions options;
  const Url url;
  const Clock::time_point epoch = Clock::now();
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{io.get_executor()};
  std::optional<ClientConnection::TlsContext> tls;
  std::vector<ClientConnection::Tcp::endpoint> endpoints;
  std::string unresolved;                   // why there are no endpoints
  std::vector<std::unique_ptr<Idle>> idle;  // the last used one is the last
  std::unordered_map<Handle, std::shared_ptr<ClientRequest>> requests;
  std::map<uint64_t, boost::asio::steady_timer> works;
  std::deque<std::shared_ptr<ClientRequest>> to_read;
  bool reading_scheduled = false, running = false;
  uint64_t next_number = 1;
  ClientCost cost;
  double cpu_at_start = 0;
};

}  // namespace mica
