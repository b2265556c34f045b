// Adapters of requests: by name and path, loaded and unloaded while the server runs.
#include <gtest/gtest.h>

#include "http/model_house.h"

namespace mica::test {
namespace {

struct AdapterHouse : House {
  explicit AdapterHouse(bool changes = true) : House(1) {
    AdapterTable::Loader loader;
    loader.load = [this](const std::string& path) {
      if (path == "nowhere") throw Error(ErrorKind::kCheckpoint, "[adapter] nowhere: no such file");
      return ++last;
    };
    loader.unload = [this](int64_t id) { unloaded.push_back(id); };
    adapters = std::make_shared<AdapterTable>(std::move(loader), changes);
    adapters->add("poet", "/adapters/poet");
  }
  int64_t last = 0;
  std::vector<int64_t> unloaded;
};

int cached(const Reply& reply) {
  const Json usage = Json::parse(reply.body)["usage"];
  return usage["prompt_tokens_details"]["cached_tokens"].get<int>();
}

TEST(ServedAdapters, AreChosenByNameOrPath) {
  AdapterHouse house;
  const std::string user(200, 'a');
  const auto ask_for = [&](const Json& further) {
    return house.post("/v1/chat/completions", chat(user, further));
  };
  // Each adapter has prefixes of its own: what is cached shows which one a request went through.
  EXPECT_EQ(cached(ask_for({{"model", "m0"}})), 0);
  EXPECT_GT(cached(ask_for({{"model", "m0"}})), 0);
  const Reply reply = ask_for({{"model", "poet"}});
  EXPECT_EQ(cached(reply), 0);
  EXPECT_EQ(Json::parse(reply.body)["model"], "poet");
  EXPECT_GT(cached(ask_for({{"adapters", "poet"}})), 0);
  EXPECT_GT(cached(ask_for({{"adapters", "/adapters/poet"}})), 0);
  EXPECT_EQ(code_of(ask_for({{"adapters", "painter"}})), "adapter_not_found");

  house.adapters->set_default("/adapters/other");
  EXPECT_EQ(cached(ask_for({{"model", "m0"}})), 0);
  EXPECT_GT(cached(ask_for({{"adapters", "/adapters/other"}})), 0);
  EXPECT_GT(cached(ask_for({{"adapters", ""}})), 0);  // none at all: as the first request
  EXPECT_EQ(house.last, 2);
}

TEST(ServedAdapters, ComeAndGo) {
  AdapterHouse house;
  ASSERT_EQ(house.chat_with("m0").status, 200);
  const auto load = [&](const char* name, const char* path) {
    return house.post("/v1/load_lora_adapter", {{"lora_name", name}, {"lora_path", path}});
  };
  const auto unload = [&](const char* name) {
    return house.post("/v1/unload_lora_adapter", {{"lora_name", name}});
  };
  EXPECT_EQ(load("painter", "/adapters/painter").status, 200);
  const Json list = Json::parse(house.get("/v1/models").body)["data"];
  ASSERT_EQ(list.size(), 3);
  EXPECT_EQ(list[2]["id"], "painter");
  EXPECT_EQ(list[2]["parent"], "m0");
  EXPECT_EQ(Json::parse(house.get("/v1/models/painter").body)["root"], "/adapters/painter");
  EXPECT_EQ(load("painter", "/adapters/painter").status, 400);
  EXPECT_EQ(load("m0", "/adapters/painter").status, 400);
  EXPECT_NE(load("other", "nowhere").status, 200);
  EXPECT_EQ(house.chat_with("painter").status, 200);

  house.models[0]->steps.shut();
  Client stream = house.start("painter", {{"stream", true}});
  ASSERT_TRUE(eventually([&] { return house.app->models().engine_stats().running == 1; }));
  const Reply in_use = unload("painter");
  EXPECT_EQ(in_use.status, 409);
  EXPECT_EQ(code_of(in_use), "adapter_in_use");
  house.models[0]->steps.open();
  EXPECT_TRUE(stream.reply()->complete);
  EXPECT_TRUE(eventually([&] { return unload("painter").status == 200; }));
  EXPECT_EQ(house.unloaded, std::vector<int64_t>{2});
  EXPECT_EQ(unload("painter").status, 404);
  EXPECT_EQ(house.chat_with("painter").status, 404);
}

TEST(ServedAdapters, TheDefaultStays) {
  AdapterHouse house;
  house.adapters->set_default("/adapters/poet");
  ASSERT_EQ(house.chat_with("m0").status, 200);
  const Reply reply = house.post("/v1/unload_lora_adapter", {{"lora_name", "poet"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("--adapter-path"), std::string::npos) << reply.body;
  EXPECT_EQ(house.chat_with("poet").status, 200);
}

TEST(ServedAdapters, AreFixedUnlessAllowed) {
  AdapterHouse house(/*changes=*/false);
  const Reply reply =
      house.post("/v1/load_lora_adapter", {{"lora_name", "x"}, {"lora_path", "/x"}});
  EXPECT_EQ(reply.status, 403);
  EXPECT_NE(reply.body.find("--allow-runtime-adapters"), std::string::npos);
  EXPECT_EQ(house.last, 1);
}

}  // namespace
}  // namespace mica::test
