#include "server/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "server/http_connection.h"
#include "server/limits.h"

namespace mica {
namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::string_view kTooMany =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    "Connection: close\r\n\r\n";

tcp::endpoint resolve(asio::io_context& io, const HttpServerOptions& options) {
  ErrorCode error;
  const auto address = asio::ip::make_address(options.host, error);
  if (!error) return {address, options.port};
  const auto found = tcp::resolver(io).resolve(options.host, std::to_string(options.port),
                                               tcp::resolver::passive, error);
  if (error || found.empty())
    throw Error(ErrorKind::kUsage, "[serve] --host {}: no such address: {}", options.host,
                error.message());
  return *found.begin();
}

void bind(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  acceptor.open(endpoint.protocol());
  acceptor.set_option(tcp::acceptor::reuse_address(true));
  acceptor.bind(endpoint);
  acceptor.listen(limits::kBacklog);
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(const HttpServerOptions& server_options);
  void accept();
  void accepted(ErrorCode error, tcp::socket socket);
  void close_acceptor();
  void repeat(size_t task);
  std::vector<std::shared_ptr<Connection>> all_connections();

  struct Task {
    Task(asio::io_context& io, std::chrono::milliseconds every, std::function<void()> what)
        : timer(io), interval(every), work(std::move(what)) {}
    asio::steady_timer timer;
    std::chrono::milliseconds interval;
    std::function<void()> work;
  };

  const HttpServerOptions options;
  ConnectionHost host;  // before `io`: the last handlers of `io` still know it
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::strand<asio::io_context::executor_type> strand{io.get_executor()};
  tcp::acceptor acceptor{strand};
  asio::steady_timer pause{strand};
  std::shared_ptr<TlsContext> tls;  // on the strand once started; null: plain HTTP
  std::vector<std::unique_ptr<Task>> tasks;
  uint16_t port = 0;
  std::vector<std::thread> threads;
};

HttpServer::Impl::Impl(const HttpServerOptions& server_options) : options(server_options) {
  if (options.ssl_cert_file.empty() != options.ssl_key_file.empty())
    throw Error(ErrorKind::kUsage, "[serve] --ssl-cert-file and --ssl-key-file need each other");
  if (!options.ssl_cert_file.empty())
    tls = make_tls_context(options.ssl_cert_file, options.ssl_key_file);
  const tcp::endpoint endpoint = resolve(io, options);
  try {
    bind(acceptor, endpoint);
    port = acceptor.local_endpoint().port();
  } catch (const boost::system::system_error& error) {
    const bool taken = error.code() == asio::error::address_in_use;
    throw Error(ErrorKind::kUsage, "[serve] can't listen on {}:{}: {}{}", options.host,
                options.port, error.code().message(),
                taken ? "; another program has this port, choose one with --port" : "");
  }
  host.options = options;
}

void HttpServer::Impl::accept() {
  acceptor.async_accept(asio::make_strand(io), [this](ErrorCode error, tcp::socket socket) {
    accepted(error, std::move(socket));
  });
}

void HttpServer::Impl::accepted(ErrorCode error, tcp::socket socket) {
  if (!acceptor.is_open() || error == asio::error::operation_aborted) return;
  if (error) {
    // Out of descriptors, most likely: others will be freed.
    log_warning("[server] can't accept a connection: {}", error.message());
    pause.expires_after(std::chrono::milliseconds(100));
    pause.async_wait([this](ErrorCode cancelled) {
      if (!cancelled) accept();
    });
    return;
  }
  size_t open = 0;
  {
    const std::lock_guard lock(host.mutex);
    open = host.connections.size();
  }
  if (open >= options.max_connections) {
    ++host.refused;
    if (!tls)
      ::send(socket.native_handle(), kTooMany.data(), kTooMany.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } else {
    std::make_shared<Connection>(std::move(socket), tls, host)->run();
  }
  accept();
}

void HttpServer::Impl::repeat(size_t task) {
  Task& due = *tasks[task];
  due.timer.expires_after(due.interval);
  due.timer.async_wait([this, task](ErrorCode cancelled) {
    if (cancelled || host.stopped) return;
    tasks[task]->work();
    repeat(task);
  });
}

void HttpServer::Impl::close_acceptor() {
  asio::post(strand, [this] {
    ErrorCode ignored;
    acceptor.close(ignored);
    pause.cancel();
  });
}

std::vector<std::shared_ptr<Connection>> HttpServer::Impl::all_connections() {
  std::vector<std::shared_ptr<Connection>> all;
  const std::lock_guard lock(host.mutex);
  for (const auto& [pointer, weak] : host.connections)
    if (auto connection = weak.lock()) all.push_back(std::move(connection));
  return all;
}

HttpServer::HttpServer(const HttpServerOptions& options) : impl_(std::make_unique<Impl>(options)) {}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::start(Handler handler) {
  impl_->host.handler = std::move(handler);
  asio::post(impl_->strand, [this] { impl_->accept(); });
  for (size_t task = 0; task < impl_->tasks.size(); ++task) impl_->repeat(task);
  for (int i = 0; i < std::max(1, impl_->options.threads); ++i)
    impl_->threads.emplace_back([this] {
      while (!impl_->io.stopped()) {
        try {
          impl_->io.run();
        } catch (const std::exception& error) {
          log_error("[server] an I/O thread goes on after: {}", error.what());
        }
      }
    });
}

void HttpServer::every(std::chrono::milliseconds interval, std::function<void()> work) {
  MICA_CHECK(impl_->threads.empty());
  impl_->tasks.push_back(std::make_unique<Impl::Task>(impl_->io, interval, std::move(work)));
}

void HttpServer::abort_requests(const ApiError& error, const std::string& model) {
  for (const auto& connection : impl_->all_connections()) connection->abort(error, model);
}

void HttpServer::reload_certificate() {
  if (impl_->options.ssl_cert_file.empty()) return;
  auto tls = make_tls_context(impl_->options.ssl_cert_file, impl_->options.ssl_key_file);
  asio::post(impl_->strand, [this, tls] { impl_->tls = tls; });
}

void HttpServer::drain() {
  impl_->host.draining = true;
  impl_->close_acceptor();
  for (const auto& connection : impl_->all_connections()) connection->close(false);
}

void HttpServer::stop() {
  if (impl_->host.stopped.exchange(true)) return;
  impl_->host.draining = true;
  impl_->close_acceptor();
  for (const auto& connection : impl_->all_connections()) connection->close(true);
  // Whatever hangs on a connection ends on the I/O threads, not while `io` is taken apart.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!impl_->threads.empty() && connections() > 0 &&
         std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  impl_->io.stop();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

uint16_t HttpServer::port() const {
  return impl_->port;
}

size_t HttpServer::connections() const {
  const std::lock_guard lock(impl_->host.mutex);
  return impl_->host.connections.size();
}

size_t HttpServer::active_requests() const {
  return impl_->host.active;
}

uint64_t HttpServer::refused_connections() const {
  return impl_->host.refused;
}

}  // namespace mica
