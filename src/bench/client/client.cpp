#include "bench/client/client.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/error.h"
#include "bench/client/client_state.h"

namespace mica {
namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

namespace {

// Requests whose bytes are looked at before the sockets are asked for new ones.
constexpr int kReadAtOnce = 4;

double thread_cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Each stream is one; the soft limit is often 1024.
void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void prepare_tls(ClientConnection::TlsContext& tls, const ClientOptions& options) {
  ErrorCode error;
  SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
  tls.set_verify_mode(options.verify_certificate ? asio::ssl::verify_peer : asio::ssl::verify_none,
                      error);
  if (options.ca_file.empty()) {
    tls.set_default_verify_paths(error);
  } else {
    tls.load_verify_file(options.ca_file, error);
    if (error)
      throw Error(ErrorKind::kUsage, "[client] {}: expected PEM certificates: {}", options.ca_file,
                  error.message());
  }
}

}  // namespace

Client::Impl::Impl(const ClientOptions& client_options)
    : options(client_options), url(parse_url(client_options.url)) {
  if (url.secure) {
    tls.emplace(ClientConnection::TlsContext::tls_client);
    prepare_tls(*tls, options);
  }
  ErrorCode error;
  for (const auto& found : ClientConnection::Tcp::resolver(io).resolve(url.host, url.port, error))
    endpoints.push_back(found.endpoint());
  if (endpoints.empty())
    unresolved = fmt::format("no address of '{}': {}", url.host, error.message());
  allow_many_connections();
}

Client::Impl::~Impl() {
  for (const auto& [handle, request] : requests) {
    request->completed_ = true;
    if (request->connection_) request->connection_->close();
  }
  for (const auto& waiting : idle) waiting->connection->close();
}

void Client::Impl::late(double due, double now) {
  cost.worst_lag = std::max(cost.worst_lag, now - due);
}

std::shared_ptr<ClientConnection> Client::Impl::take_idle() {
  while (!idle.empty()) {
    const auto connection = std::move(idle.back()->connection);
    connection->receiver(nullptr);
    idle.pop_back();
    if (connection->quiet()) return connection;
    connection->close();
  }
  return nullptr;
}

std::shared_ptr<ClientConnection> Client::Impl::new_connection() {
  ++cost.connections;
  return std::make_shared<ClientConnection>(io, tls ? &*tls : nullptr);
}

void Client::Impl::give_back(std::shared_ptr<ClientConnection> connection) {
  auto waiting = std::make_unique<Idle>(*this);
  connection->receiver(waiting.get());
  waiting->connection = std::move(connection);
  idle.push_back(std::move(waiting));
}

void Client::Impl::Idle::received(ErrorCode, std::string_view, Clock::time_point) {
  connection->close();
  std::erase_if(client.idle, [this](const auto& other) { return other.get() == this; });
}

void Client::Impl::read_later(std::shared_ptr<ClientRequest> request) {
  to_read.push_back(std::move(request));
  schedule_reading();
}

void Client::Impl::schedule_reading() {
  if (!to_read.empty() && !std::exchange(reading_scheduled, true))
    asio::post(io, [this] { read_some(); });
}

void Client::Impl::read_some() {
  struct Again {  // also when a callback throws
    ~Again() { client.schedule_reading(); }
    Impl& client;
  } again{*this};
  reading_scheduled = false;
  for (int i = 0; i < kReadAtOnce && !to_read.empty(); ++i) {
    const auto request = std::move(to_read.front());
    to_read.pop_front();
    request->read_inbox();
  }
}

void Client::Impl::cancel_all() {
  std::vector<std::shared_ptr<ClientRequest>> open;
  for (const auto& [handle, request] : requests) open.push_back(request);
  // In the order of their submission.
  std::sort(open.begin(), open.end(),
            [](const auto& a, const auto& b) { return a->handle_ < b->handle_; });
  for (const auto& request : open) asio::post(io, [request] { request->cancel(); });
}

void Client::Impl::at(double time, std::function<void()> work) {
  const uint64_t number = next_number++;
  asio::steady_timer& timer = works.try_emplace(number, io).first->second;
  timer.expires_at(clock_time(time));
  timer.async_wait([this, number, time, work = std::move(work)](ErrorCode error) {
    if (error) return;
    late(time, now());
    works.erase(number);
    work();
  });
}

void Client::Impl::run() {
  struct Running {
    explicit Running(Impl& of) : client(of) {
      client.running = true;
      client.cpu_at_start = thread_cpu_seconds();
    }
    ~Running() {
      client.running = false;
      client.cost.cpu_seconds += thread_cpu_seconds() - client.cpu_at_start;
    }
    Impl& client;
  } running_now{*this};
  while (!requests.empty() || !works.empty()) io.run_one();
}

Client::Client(const ClientOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Client::~Client() = default;

Client::Clock::time_point Client::epoch() const {
  return impl_->epoch;
}

double Client::now() const {
  return impl_->now();
}

Client::Handle Client::submit(RequestSpec spec, Done done) {
  const Handle handle = impl_->next_number++;
  const auto request =
      std::make_shared<ClientRequest>(*impl_, handle, std::move(spec), std::move(done));
  impl_->requests.emplace(handle, request);
  request->wait_until_due();
  return handle;
}

void Client::cancel(Handle handle) {
  const auto found = impl_->requests.find(handle);
  if (found == impl_->requests.end()) return;
  asio::post(impl_->io, [request = found->second] { request->cancel(); });
}

void Client::cancel_all() {
  impl_->cancel_all();
}

void Client::at(double time, std::function<void()> work) {
  impl_->at(time, std::move(work));
}

void Client::run() {
  impl_->run();
}

void Client::stop() {
  asio::post(impl_->io, [impl = impl_.get()] {
    impl->works.clear();
    impl->cancel_all();
  });
}

size_t Client::open() const {
  return impl_->requests.size();
}

ClientCost Client::cost() const {
  ClientCost cost = impl_->cost;
  if (impl_->running) cost.cpu_seconds += thread_cpu_seconds() - impl_->cpu_at_start;
  return cost;
}

}  // namespace mica
