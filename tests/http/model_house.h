// A server over several fake models, whose loading and steps a test can stop.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "http/test_app.h"
#include "model/adapters.h"
#include "server/adapter_table.h"

namespace mica::test {

class Gate {
 public:
  void shut() { set(false); }
  void open() { set(true); }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }

 private:
  void set(bool open) {
    const std::lock_guard lock(mutex_);
    open_ = open;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
};

// What a test knows of one model, loaded or not.
struct Watched {
  std::string id;
  std::atomic<int> loads{0};
  std::atomic<bool> broken{false};
  Gate loading, steps;
};

inline std::atomic<int> g_alive{0}, g_most_alive{0};

struct FakeServed {
  FakeServed(Watched& watched, ServerMetrics& metrics) : text(test_text_model()), fake(options()) {
    fake.on_forward = [&watched](auto) { watched.steps.pass(); };
    for (int i = 0; i < 4; ++i) adapters.add(Adapter{});  // ids 1 to 4
    EngineOptions engine_options = TestApp::default_engine();
    engine_options.adapters = &adapters;
    engine = std::make_unique<Engine>(backend, fake, engine_options);
    served.engine = engine.get();
    served.text = text.get();
    served.vocabulary = kVocabulary;
    served.id = watched.id;
    served.aliases = {"path/" + watched.id};
    served.device = "fake: fake";
    served.metrics = &metrics;
    const int alive = ++g_alive;
    if (alive > g_most_alive) g_most_alive = alive;
  }
  ~FakeServed() { --g_alive; }
  static fake::FakeOptions options() {
    fake::FakeOptions options;
    options.vocabulary = kVocabulary;
    return options;
  }
  std::unique_ptr<TextModel> text;
  fake::FakeBackend backend;
  fake::FakeModel fake;
  AdapterSet adapters{backend, fake, 8};
  std::unique_ptr<Engine> engine;
  ServedModel served;
};

// A server with models "m0" to "mN"; m0 is the default.
struct House {
  explicit House(size_t count, AppOptions options = {}, uint64_t expected_bytes = 0) {
    g_most_alive = g_alive.load();
    options.http.port = 0;
    app = std::make_unique<App>(options);
    for (size_t i = 0; i < count; ++i) {
      models.push_back(std::make_unique<Watched>());
      Watched& watched = *models.back();
      watched.id = "m" + std::to_string(i);
      ModelSpec spec;
      spec.id = watched.id;
      spec.aliases = {"path/" + watched.id};
      spec.expected_bytes = expected_bytes;
      spec.load = [this, &watched] { return load(watched); };
      app->models().add(std::move(spec));
    }
    app->set_ready();
  }
  ~House() {
    for (auto& model : models) {
      model->loading.open();
      model->steps.open();
    }
    app->stop();
  }
  std::shared_ptr<const ServedModel> load(Watched& watched) {
    watched.loading.pass();
    ++watched.loads;
    if (watched.broken) throw Error(ErrorKind::kCheckpoint, "[test] the file is broken");
    auto made = std::make_shared<FakeServed>(watched, app->metrics());
    made->served.adapters = adapters;
    return {made, &made->served};
  }
  Reply get(const std::string& path) { return ask(app->port(), "GET", path); }
  Reply post(const std::string& path, const Json& body) {
    return ask(app->port(), "POST", path, body.dump());
  }
  Reply chat_with(const std::string& model, const Json& further = Json::object()) {
    Json body = chat("x", further);
    body["model"] = model;
    return post("/v1/chat/completions", body);
  }
  Client start(const std::string& model, const Json& further = Json::object(),
               const std::string& headers = "") {
    Json body = chat("x", further);
    body["model"] = model;
    Client client(app->port());
    client.request("POST", "/v1/chat/completions", body.dump(), headers);
    return client;
  }
  std::string status(size_t model) {
    return name(app->models().state("m" + std::to_string(model)).status);
  }

  std::vector<std::unique_ptr<Watched>> models;
  std::shared_ptr<AdapterTable> adapters;
  std::unique_ptr<App> app;
};

inline std::string code_of(const Reply& reply) {
  const Json error = Json::parse(reply.body)["error"];
  return error["code"].is_string() ? error["code"].get<std::string>() : "";
}

}  // namespace mica::test
