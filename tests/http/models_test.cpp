// Several models in one server: loaded when asked for, waited for, unloaded for room.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "http/model_house.h"

namespace mica::test {
namespace {

using std::chrono::milliseconds;

TEST(Models, AreLoadedWhenAskedFor) {
  House house(3);
  EXPECT_EQ(house.status(1), "unloaded");
  const Reply reply = house.chat_with("m1");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(Json::parse(reply.body)["model"], "m1");
  EXPECT_EQ(house.chat_with("path/m1").status, 200);
  EXPECT_EQ(house.chat_with("").status, 200);  // the default
  EXPECT_EQ(house.models[0]->loads, 1);
  EXPECT_EQ(house.models[1]->loads, 1);
  EXPECT_EQ(house.models[2]->loads, 0);
  const Json list = Json::parse(house.get("/v1/models").body)["data"];
  ASSERT_EQ(list.size(), 3);
  EXPECT_EQ(list[1]["id"], "m1");
  EXPECT_EQ(list[1]["status"]["value"], "loaded");
  EXPECT_EQ(list[1]["max_model_len"], 2048);
  EXPECT_EQ(list[2]["status"]["value"], "unloaded");
  EXPECT_EQ(Json::parse(house.get("/v1/models/m2").body)["status"]["value"], "unloaded");
  const Json health = Json::parse(house.get("/health").body);
  EXPECT_EQ(health["status"], "ok");
  EXPECT_EQ(health["loaded"], Json({"m0", "m1"}));
}

TEST(Models, AnUnknownOneIsSaidWithWhatThereIs) {
  House house(12);
  const Reply reply = house.chat_with("m99");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(code_of(reply), "model_not_found");
  EXPECT_NE(reply.body.find("'m9'"), std::string::npos) << reply.body;
  EXPECT_EQ(reply.body.find("'m10'"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find("and 2 more"), std::string::npos) << reply.body;
  EXPECT_EQ(house.get("/v1/models/m99").status, 404);
  EXPECT_EQ(house.post("/models/load", {{"model", "m99"}}).status, 404);
}

TEST(Models, WaitingRequestsHoldNoThread) {
  AppOptions options;
  options.workers = 1;
  options.http.threads = 1;
  House house(2, options);
  ASSERT_EQ(house.chat_with("m0").status, 200);
  house.models[1]->loading.shut();
  std::vector<Client> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(house.start("m1", {{"stream", i % 2 == 0}}));
  ASSERT_TRUE(eventually([&] { return house.app->active_requests() == 20; }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(house.chat_with("m0").status, 200);
  house.models[1]->loading.open();
  for (Client& client : waiting) {
    const auto reply = client.reply();
    ASSERT_TRUE(reply && reply->complete);
    EXPECT_EQ(reply->status, 200) << reply->body;
  }
  EXPECT_EQ(house.models[1]->loads, 1);
}

TEST(Models, WaitingHasTheRequestsDeadline) {
  House house(2);
  house.models[1]->loading.shut();
  const auto reply = house.start("m1", {}, "X-Request-Timeout: 0.2\r\n").reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 504);
  EXPECT_EQ(code_of(*reply), "model_loading");
  house.models[1]->loading.open();
  EXPECT_EQ(house.chat_with("m1").status, 200);
}

TEST(Models, WhatNobodyWaitsForAnyMoreIsNotLoaded) {
  House house(3);
  house.models[1]->loading.shut();
  Client first = house.start("m1");
  ASSERT_TRUE(eventually([&] { return house.app->models().busy(); }));
  {
    Client second = house.start("m2");
    ASSERT_TRUE(eventually([&] { return house.status(2) == "loading"; }));
  }
  ASSERT_TRUE(eventually([&] { return house.app->active_requests() == 1; }));
  house.models[1]->loading.open();
  EXPECT_EQ(first.reply()->status, 200);
  EXPECT_TRUE(eventually([&] { return house.status(2) == "unloaded"; }));
  EXPECT_EQ(house.models[2]->loads, 0);
}

TEST(Models, TheLeastRecentlyUsedGoes) {
  AppOptions options;
  options.max_models = 2;
  House house(3, options);
  for (const char* model : {"m0", "m1", "m0", "m2"}) {
    ASSERT_EQ(house.chat_with(model).status, 200);
    // The lease outlives the answer's last byte by a moment.
    ASSERT_TRUE(eventually([&] { return house.app->models().state(model).leases == 0; }));
  }
  EXPECT_EQ(house.status(0), "loaded");
  EXPECT_EQ(house.status(1), "unloaded");
  EXPECT_EQ(house.status(2), "loaded");
  EXPECT_EQ(house.app->models().counts().evictions, 1);
  ASSERT_EQ(house.chat_with("m1").status, 200);  // and m0, the default, goes as others do
  EXPECT_EQ(house.status(0), "unloaded");
  EXPECT_EQ(Json::parse(house.get("/health").body)["status"], "ok");
  EXPECT_EQ(Json::parse(house.get("/health?generate=1").body)["model"], "m1");
}

TEST(Models, BudgetOfMemory) {
  AppOptions options;
  options.model_budget = uint64_t{100} << 20;  // one cache of 64 MB
  House house(2, options, uint64_t{60} << 20);
  ASSERT_EQ(house.chat_with("m0").status, 200);
  ASSERT_EQ(house.chat_with("m1").status, 200);
  EXPECT_EQ(house.status(0), "unloaded");

  options.model_budget = uint64_t{50} << 20;
  House expected(2, options, uint64_t{60} << 20), seen(2, options);
  EXPECT_EQ(code_of(expected.chat_with("m0")), "model_failed");
  EXPECT_EQ(expected.models[0]->loads, 0);
  const Reply reply = seen.chat_with("m0");
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.body.find("--model-budget"), std::string::npos);
  EXPECT_EQ(seen.models[0]->loads, 1);
}

TEST(Models, OneThatNeverFitsThrowsNobodyOut) {
  AppOptions options;
  options.model_budget = uint64_t{100} << 20;
  House house(1, options);
  ModelSpec huge;
  huge.id = "huge";
  huge.expected_bytes = uint64_t{200} << 20;
  huge.load = []() -> std::shared_ptr<const ServedModel> {
    throw Error(ErrorKind::kOutOfMemory, "[test] it was tried");
  };
  house.app->models().add(std::move(huge));
  ASSERT_EQ(house.chat_with("m0").status, 200);
  const Reply reply = house.chat_with("huge");
  EXPECT_EQ(code_of(reply), "model_failed");
  EXPECT_NE(reply.body.find("does not fit"), std::string::npos) << reply.body;
  EXPECT_EQ(house.status(0), "loaded");
  EXPECT_EQ(house.app->models().counts().evictions, 0);
}

TEST(Models, UnloadingWaitsForStreams) {
  House house(2);
  house.models[1]->steps.shut();
  Client stream = house.start("m1", {{"stream", true}});
  ASSERT_TRUE(eventually([&] { return house.app->models().engine_stats().running == 1; }));
  const Json answer = Json::parse(house.post("/models/unload", {{"model", "m1"}}).body);
  EXPECT_EQ(answer["status"]["value"], "unloading");
  EXPECT_EQ(answer["running_requests"], 1);
  const Reply refused = house.chat_with("m1");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "model_unloading");
  EXPECT_EQ(house.models[1]->loads, 1);
  house.models[1]->steps.open();
  const auto reply = stream.reply();
  ASSERT_TRUE(reply && reply->complete);
  EXPECT_EQ(reply->events().back(), "[DONE]");
  EXPECT_TRUE(eventually([&] { return house.status(1) == "unloaded"; }));
  EXPECT_TRUE(eventually([&] { return g_alive == 0; }));
  EXPECT_EQ(house.chat_with("m1").status, 200);  // and may come back
}

TEST(Models, LoadAndUnloadByName) {
  House house(2);
  EXPECT_EQ(house.post("/v1/models/load", {{"model", "m1"}}).status, 200);
  EXPECT_TRUE(eventually([&] { return house.status(1) == "loaded"; }));
  EXPECT_EQ(house.post("/v1/models/unload", {{"model", "m1"}}).status, 200);
  EXPECT_TRUE(eventually([&] { return house.status(1) == "unloaded"; }));
  EXPECT_EQ(house.post("/models/load", Json::object()).status, 400);
  EXPECT_EQ(house.post("/models/load", {{"model", std::string(1 << 17, 'x')}}).status, 413);
  TestApp fixed;
  fixed.make_ready();
  EXPECT_EQ(fixed.post("/models/unload", {{"model", "fake-model"}}).status, 400);
}

TEST(Models, UnloadedWhileItLoads) {
  House house(2);
  house.models[1]->loading.shut();
  Client waiting = house.start("m1");
  ASSERT_TRUE(eventually([&] { return house.app->models().busy(); }));
  EXPECT_EQ(house.post("/models/unload", {{"model", "m1"}}).status, 200);
  EXPECT_EQ(code_of(*waiting.reply()), "model_unloading");
  house.models[1]->loading.open();
  EXPECT_TRUE(eventually([&] { return house.status(1) == "unloaded"; }));
}

TEST(Models, AFailureIsToldAndMayPass) {
  House house(2);
  house.models[1]->broken = true;
  const Reply reply = house.chat_with("m1");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(code_of(reply), "model_failed");
  EXPECT_NE(reply.body.find("the file is broken"), std::string::npos);
  const Json state = Json::parse(house.get("/v1/models/m1").body)["status"];
  EXPECT_EQ(state["value"], "failed");
  EXPECT_NE(state["reason"].get<std::string>().find("the file is broken"), std::string::npos);
  EXPECT_EQ(house.chat_with("m0").status, 200);
  house.models[1]->broken = false;
  EXPECT_EQ(house.chat_with("m1").status, 200);
  EXPECT_FALSE(Json::parse(house.get("/v1/models/m1").body)["status"].contains("reason"));
}

TEST(Models, ABusyModelMakesRoomInTheEnd) {
  AppOptions options;
  options.max_models = 1;
  options.model_patience = milliseconds(50);
  House house(2, options);
  house.models[0]->steps.shut();
  Client running = house.start("m0");
  ASSERT_TRUE(eventually([&] { return house.app->models().engine_stats().running == 1; }));
  Client other = house.start("m1");
  ASSERT_TRUE(eventually([&] { return house.status(1) == "loading"; }));
  std::this_thread::sleep_for(milliseconds(300));
  Client later = house.start("m0");  // waits behind m1
  ASSERT_TRUE(eventually([&] { return house.app->active_requests() == 3; }));
  house.models[0]->steps.open();
  EXPECT_EQ(running.reply()->status, 200);
  EXPECT_EQ(other.reply()->status, 200);
  EXPECT_EQ(later.reply()->status, 200);
  EXPECT_EQ(house.models[0]->loads, 2);
}

TEST(Models, ManyRequestsToMoreModelsThanFit) {
  AppOptions options;
  options.max_models = 2;
  options.model_patience = milliseconds(20);
  House house(3, options);
  std::vector<Client> clients;
  for (size_t i = 0; i < 200; ++i)
    clients.push_back(house.start("m" + std::to_string(i % 3), {{"stream", i % 5 == 0}}));
  int answered = 0;
  for (Client& client : clients) {
    client.patience = milliseconds(120000);
    const auto reply = client.reply();
    ASSERT_TRUE(reply && reply->complete);
    EXPECT_EQ(reply->status, 200) << reply->body;
    answered += reply->status == 200 ? 1 : 0;
  }
  EXPECT_EQ(answered, 200);
  EXPECT_LE(g_most_alive, 2);
  for (const auto& model : house.models) EXPECT_GE(model->loads, 1);
}

TEST(Models, TheEndOfTheServerIsToldToThoseThatWait) {
  auto house = std::make_unique<House>(2);
  house->models[1]->loading.shut();
  Client waiting = house->start("m1");
  ASSERT_TRUE(eventually([&] { return house->app->models().busy(); }));
  std::thread opener([&] {
    std::this_thread::sleep_for(milliseconds(200));
    house->models[1]->loading.open();
  });
  house->app->stop();
  opener.join();
  const auto reply = waiting.reply();
  ASSERT_TRUE(reply && reply->complete);
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(code_of(*reply), "shutting_down");
  EXPECT_EQ(g_alive, 0);
}

TEST(Models, AStuckEngineEndsItsOwnRequestsOnly) {
  AppOptions options;
  options.watchdog_timeout = milliseconds(300);
  House house(2, options);
  ASSERT_EQ(house.chat_with("m0").status, 200);
  house.models[1]->steps.shut();
  Client stuck = house.start("m1");
  const auto reply = stuck.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(code_of(*reply), "engine_stuck");
  EXPECT_EQ(house.chat_with("m0").status, 200);
  EXPECT_EQ(code_of(house.chat_with("m1")), "engine_stuck");
  EXPECT_EQ(Json::parse(house.get("/health").body)["status"], "ok");
}

// The default model does not answer for another one that was asked before.
TEST(Models, HealthIsOfTheModelThatItNames) {
  House house(2);
  ASSERT_EQ(house.chat_with("m1").status, 200);
  house.models[1]->steps.shut();
  Client first(house.app->port());
  first.request("GET", "/health?generate=1");
  ASSERT_TRUE(eventually([&] { return house.app->models().engine_stats().running == 1; }));
  ASSERT_EQ(house.chat_with("m0").status, 200);
  const Json second = Json::parse(house.get("/health?generate=1").body);
  EXPECT_EQ(second["model"], "m0");
  EXPECT_EQ(second["generated"], true);
  house.models[1]->steps.open();
  EXPECT_EQ(Json::parse(first.reply()->body)["model"], "m1");
}

}  // namespace
}  // namespace mica::test
