#include "fake_engine/engine.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "fake_engine/engine_state.h"

namespace mica::fake {
namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

namespace {

constexpr int kBacklog = 4096;

void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

FakeEngine::Impl::Impl(const Script& engine_script)
    : script(engine_script), engines(static_cast<size_t>(engine_script.engines)) {
  allow_many_connections();
  try {
    if (!script.cert_file.empty()) {
      tls.emplace(asio::ssl::context::tls_server);
      tls->use_certificate_chain_file(script.cert_file);
      tls->use_private_key_file(script.key_file, asio::ssl::context::pem);
    }
    // Bound and not listening: connections are refused.
    const Tcp::endpoint endpoint(asio::ip::make_address(script.host),
                                 static_cast<uint16_t>(script.port));
    acceptor.open(endpoint.protocol());
    acceptor.set_option(Tcp::acceptor::reuse_address(true));
    acceptor.bind(endpoint);
  } catch (const boost::system::system_error& error) {
    throw Error(ErrorKind::kUsage, "[fake_engine] {}:{}: {}", script.host, script.port,
                error.what());
  }
  if (script.start.listen_ms <= 0) {
    listen();
    return;
  }
  listen_timer.expires_at(born + milliseconds(script.start.listen_ms));
  listen_timer.async_wait([this](ErrorCode error) {
    if (!error) listen();
  });
}

FakeEngine::Impl::~Impl() {
  // A hanging stream and its connection hold each other.
  const auto peers = open;
  for (FakeConnection* peer : peers) peer->shut();
}

void FakeEngine::Impl::listen() {
  acceptor.listen(kBacklog);
  accept();
}

void FakeEngine::Impl::accept() {
  acceptor.async_accept([this](ErrorCode error, Tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      ++connections;
      std::make_shared<FakeConnection>(*this, std::move(socket))->run();
    }
    accept();
  });
}

void FakeEngine::Impl::handle(const std::shared_ptr<FakeConnection>& connection,
                              const std::string& method, const std::string& target,
                              std::string body, const std::string& authorization) {
  const std::string path = target.substr(0, target.find('?'));
  const bool chat = path == "/v1/chat/completions" || path == "/chat/completions";
  const bool open = path == "/health" || path.starts_with("/fake/");
  if (!script.api_key.empty() && !open && authorization != "Bearer " + script.api_key)
    return connection->reply({401, error_body(script.dialect, 401, "Invalid API key")});
  if (method == "POST" && (chat || path == "/v1/completions") && script.start.identity.empty())
    return generate(connection, chat, path, std::move(body), authorization);
  const auto found = page(*this, method, path);
  connection->reply(found ? *found : Reply{404, R"({"detail":"Not Found"})"});
}

void FakeEngine::Impl::generate(const std::shared_ptr<FakeConnection>& connection, bool chat,
                                std::string path, std::string body,
                                const std::string& authorization) {
  Truth truth;
  truth.path = std::move(path);
  truth.authorization = authorization;
  truth.received = seconds(Clock::now());
  Asked asked;
  const auto refusal = read_request(script, chat, body, asked);
  truth.body = std::move(body);
  if (refusal) truth.outcome = "refused";
  asked.number = truths.add(std::move(truth));
  if (refusal) return connection->reply({refusal->status, refusal->body});
  const auto fault = std::find_if(script.faults.begin(), script.faults.end(),
                                  [&](const Fault& f) { return f.hits(asked.number); });
  const auto stream = std::make_shared<FakeStream>(
      *this, connection, std::move(asked), fault == script.faults.end() ? nullptr : &*fault);
  connection->on_gone([stream] { stream->gone(); });
  if (after(script.start.generate_ms)) return gather(stream);
  const auto timer =
      std::make_shared<asio::steady_timer>(io, born + milliseconds(script.start.generate_ms));
  timer->async_wait([this, stream, timer](ErrorCode error) {
    if (!error) gather(stream);
  });
}

void FakeEngine::Impl::gather(std::shared_ptr<FakeStream> stream) {
  if (all_came || script.timing.gather <= 1) return admit(std::move(stream));
  gathered.push_back(std::move(stream));
  all_came = static_cast<int64_t>(gathered.size()) >= script.timing.gather;
  if (!all_came) return;
  for (const auto& waiting : gathered) admit(waiting);
  gathered.clear();
}

void FakeEngine::Impl::admit(std::shared_ptr<FakeStream> stream) {
  if (stream->ended()) return;  // its client left while it waited
  Counters& engine = counters(stream->asked().number);
  if (script.timing.slots > 0 && active >= script.timing.slots) {
    ++engine.waiting;
    queue.push_back(std::move(stream));
    return;
  }
  ++active;
  ++engine.running;
  stream->begin();
}

void FakeEngine::Impl::leave(int64_t request) {
  --active;
  --counters(request).running;
  while (!queue.empty() && active < script.timing.slots) {
    const auto stream = std::move(queue.front());
    queue.pop_front();
    --counters(stream->asked().number).waiting;
    admit(stream);
  }
}

// Tokens of the prompt's beginning that an earlier one had; at least one is computed. -1: no cache.
int64_t FakeEngine::Impl::found_in_cache(const Asked& asked) {
  if (!script.answer.prefix_cache) return -1;
  int64_t found = 0;
  if (asked.may_cache)
    for (const uint64_t block : asked.blocks) {
      if (!cached_blocks.count(block)) break;
      found += 16;
    }
  cached_blocks.insert(asked.blocks.begin(), asked.blocks.end());
  return std::min(found, asked.prompt_tokens - 1);
}

FakeEngine::FakeEngine(const Script& script) : impl_(std::make_unique<Impl>(script)) {
  if (!script.port_file.empty()) {
    const std::string partial = script.port_file + ".partial";
    std::ofstream(partial) << port() << "\n";
    if (std::rename(partial.c_str(), script.port_file.c_str()) != 0)
      throw Error(ErrorKind::kUsage, "[fake_engine] can't write {}", script.port_file);
  }
  if (script.start.exit_ms > 0) {
    impl_->exit_timer.expires_at(impl_->born + milliseconds(script.start.exit_ms));
    impl_->exit_timer.async_wait([this](ErrorCode error) {
      if (!error) ::_exit(static_cast<int>(impl_->script.start.exit_status));
    });
  }
}

FakeEngine::~FakeEngine() {
  stop();
}

uint16_t FakeEngine::port() const {
  ErrorCode ignored;
  return impl_->acceptor.local_endpoint(ignored).port();
}

std::string FakeEngine::url() const {
  return fmt::format("{}://{}:{}", impl_->tls ? "https" : "http", impl_->script.host, port());
}

void FakeEngine::start() {
  impl_->thread = std::thread([this] { run(); });
}

void FakeEngine::run() {
  impl_->io.run();
}

void FakeEngine::stop() {
  impl_->io.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

std::vector<Truth> FakeEngine::truths() const {
  return impl_->truths.all();
}

int64_t FakeEngine::connections() const {
  return impl_->connections;
}

int64_t FakeEngine::cache_resets() const {
  return impl_->cache_resets;
}

void FakeEngine::arguments(std::vector<std::string> argv) {
  impl_->argv = std::move(argv);
}

}  // namespace mica::fake
