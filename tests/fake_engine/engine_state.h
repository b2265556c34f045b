// The insides of the scripted engine. One thread runs all of it.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <unordered_set>

#include "fake_engine/asked.h"
#include "fake_engine/chunk_text.h"
#include "fake_engine/counters.h"
#include "fake_engine/engine.h"

namespace mica::fake {

using ErrorCode = boost::system::error_code;

struct Reply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
};

// One peer: reads requests, writes what it is given.
class FakeConnection : public std::enable_shared_from_this<FakeConnection> {
 public:
  FakeConnection(FakeEngine::Impl& engine, boost::asio::ip::tcp::socket socket);
  ~FakeConnection();
  void run();

  void write(std::string bytes);  // in order, at once where the kernel takes it
  void reply(const Reply& reply);
  void answered();  // the next request may come
  void close();     // after what is being written
  void reset();     // the peer gets ECONNRESET
  void shut();      // at once
  bool open() const { return !closed_; }
  // Once, when the peer goes away while its request is answered.
  void on_gone(std::function<void()> callback);

 private:
  void read();
  void discard();
  void requested();
  void flush();
  void watch();

  FakeEngine::Impl& engine_;
  boost::asio::ip::tcp::socket socket_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::string pending_, out_;
  std::function<void()> on_gone_;
  bool keep_alive_ = true, writing_ = false, closing_ = false, closed_ = false, watching_ = false;
  bool read_when_readable_ = false;  // the next request; a wait for the end of the peer is pending
};

// One request for an answer.
class FakeStream : public std::enable_shared_from_this<FakeStream> {
 public:
  FakeStream(FakeEngine::Impl& engine, std::shared_ptr<FakeConnection> connection, Asked asked,
             const Fault* fault);
  void begin();  // it has a slot
  void gone();   // the client went away
  const Asked& asked() const { return asked_; }
  bool ended() const { return ended_; }

 private:
  bool fails_at(const char* where) const;
  void fail();
  void fail_head();
  void open_stream();
  void prepare();
  void wait(Clock::time_point until, void (FakeStream::*next)());
  void chunk();
  void finish();
  void whole();
  void close_stream(bool done);
  void end(const std::string& outcome);
  void event(const std::string& data);
  void body(const std::string& bytes);
  void keep_alive();
  void send_pieces();
  double interval_ms() const;
  UsageCounts counts() const;

  FakeEngine::Impl& engine_;
  const std::shared_ptr<FakeConnection> connection_;
  const Asked asked_;
  const std::optional<Fault> fault_;
  const AnswerTokens tokens_;
  const ChunkText text_;
  boost::asio::steady_timer timer_, keep_alive_timer_, piece_timer_;
  std::deque<std::string> pieces_;  // of an event that is split
  std::string next_;                // the next chunk's bytes
  std::vector<Token> next_tokens_;
  int64_t sent_tokens_ = 0, sent_chunks_ = 0;
  Clock::time_point received_ = Clock::now(), began_, due_, last_sent_, first_sent_;
  double factor_ = 1;
  int64_t cached_ = 0;
  bool faulted_ = false, ended_ = false, has_slot_ = false, tool_named_ = false;
};

struct FakeEngine::Impl {
  explicit Impl(const Script& engine_script);
  ~Impl();

  void accept();
  void listen();
  Counters& counters(int64_t request) {
    return engines[static_cast<size_t>(request) % engines.size()];
  }
  // Of one request on `connection`; answers now or later.
  void handle(const std::shared_ptr<FakeConnection>& connection, const std::string& method,
              const std::string& target, std::string body, const std::string& authorization);
  void generate(const std::shared_ptr<FakeConnection>& connection, bool chat, std::string path,
                std::string body, const std::string& authorization);
  void gather(std::shared_ptr<FakeStream> stream);
  void admit(std::shared_ptr<FakeStream> stream);
  void leave(int64_t request);  // its slot is free
  bool after(double start_ms) const { return Clock::now() >= born + milliseconds(start_ms); }
  int64_t found_in_cache(const Asked& asked);

  const Script script;
  const Clock::time_point born = Clock::now();
  std::unordered_set<FakeConnection*> open;  // before `io`, whose last handlers still know it
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{io.get_executor()};
  boost::asio::ip::tcp::acceptor acceptor{io};
  std::optional<boost::asio::ssl::context> tls;
  boost::asio::steady_timer listen_timer{io}, exit_timer{io};
  Truths truths;
  std::vector<Counters> engines;
  std::vector<Iteration> iterations;
  std::unordered_set<uint64_t> cached_blocks;
  std::deque<std::shared_ptr<FakeStream>> queue;      // for a slot
  std::vector<std::shared_ptr<FakeStream>> gathered;  // for the others
  bool all_came = false;
  int64_t active = 0;
  std::atomic<int64_t> connections{0}, cache_resets{0};
  std::vector<std::string> argv;
  std::thread thread;
};

// Everything but requests for an answer; nullopt = no such page. pages.cpp
std::optional<Reply> page(FakeEngine::Impl& engine, const std::string& method,
                          const std::string& path);

}  // namespace mica::fake
