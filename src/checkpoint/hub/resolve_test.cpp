// find_model, resolve_model and the environment.
#include <unistd.h>

#include <cstdlib>

#include "checkpoint/hub/hub_test_fixture.h"

namespace mica::hub {
namespace {

namespace fs = std::filesystem;

std::string resolve_error(const std::string& model, const HubOptions& options, ErrorKind kind) {
  try {
    resolve_model(model, options);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  ADD_FAILURE() << model << " was found";
  return "";
}

TEST_F(HubTest, DirectoriesComeFirst) {
  EXPECT_EQ(find_model(folder.string(), options), folder);
  EXPECT_EQ(resolve_model(folder.string(), options), folder);
  EXPECT_TRUE(hub.server.requests().empty());
}

TEST_F(HubTest, FoundOnceItWasPulled) {
  hub.add_model();
  EXPECT_EQ(find_model("org/tiny", options), std::nullopt);
  EXPECT_EQ(resolve_model("org/tiny", options), snapshot());
  hub.server.forget_requests();
  EXPECT_EQ(find_model("org/tiny", options), snapshot());
  EXPECT_EQ(find_model("org/tiny@main", options), snapshot());
  EXPECT_EQ(find_model("org/tiny@" + hub.commit, options), snapshot());
  EXPECT_EQ(find_model("org/tiny@other", options), std::nullopt);
  EXPECT_EQ(find_model(repo_folder().string(), options), snapshot());
  EXPECT_EQ(resolve_model("org/tiny", options), snapshot());
  EXPECT_TRUE(hub.server.requests().empty()) << "a cached model needs no network";
  options.offline = true;
  EXPECT_EQ(pull(), snapshot());
}

TEST_F(HubTest, PartsOfAModelAreNotTheModel) {
  hub.add("config.json", "{}");
  hub.add("model.safetensors.index.json",
          "{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\"}}");
  hub.add("model-1.safetensors", "1");
  hub.add("model-2.safetensors", "2");
  options.exclude = {"model-2*"};
  pull();
  options.exclude.clear();
  EXPECT_EQ(find_model("org/tiny", options), std::nullopt);
  options.offline = true;
  const std::string message = resolve_error("org/tiny", options, ErrorKind::kCheckpoint);
  EXPECT_TRUE(contains(message, "without model-2.safetensors")) << message;
  options.offline = false;
  EXPECT_EQ(resolve_model("org/tiny", options), snapshot());
  EXPECT_TRUE(fs::exists(snapshot() / "model-2.safetensors"));
}

TEST_F(HubTest, LinksWithoutABlobAndOtherToolsListings) {
  hub.add_model();
  pull();
  const fs::path tree = repo_folder() / "trees" / (hub.commit + ".json");
  fs::create_directories(tree.parent_path());
  write_text_file(tree,
                  "{\"format_version\": 1, \"files\": {\"config.json\": {}, \"README.md\": {}, "
                  "\"consolidated.safetensors\": {}}}");
  EXPECT_EQ(find_model("org/tiny", options), snapshot());
  write_text_file(tree, "{\"files\": {\"tokenizer_config.json\": {}}}");
  EXPECT_EQ(find_model("org/tiny", options), std::nullopt);
  write_text_file(tree, "{\"files\": [[[");
  EXPECT_EQ(find_model("org/tiny", options), snapshot());
  fs::remove(blob("tokenizer.json"));
  EXPECT_EQ(find_model("org/tiny", options), std::nullopt);
  pull();
  EXPECT_EQ(find_model("org/tiny", options), snapshot());
}

TEST_F(HubTest, HostileReferences) {
  hub.add_model();
  pull();
  for (const char* text : {"../../..", "", "/", "a/b"}) {
    write_text_file(repo_folder() / "refs" / "main", text);
    EXPECT_EQ(find_model("org/tiny", options), std::nullopt) << text;
  }
  write_text_file(repo_folder() / "refs" / "main", hub.commit + "\n");
  EXPECT_EQ(find_model("org/tiny", options), snapshot());
}

TEST_F(HubTest, ErrorsNameWhatWasTried) {
  hub.add_model();
  pull();
  options.offline = true;
  std::string message = resolve_error("org/tinny", options, ErrorKind::kCheckpoint);
  EXPECT_TRUE(contains(message, "did you mean org/tiny, which is in the cache?")) << message;
  EXPECT_TRUE(contains(message, options.cache)) << message;
  EXPECT_TRUE(contains(message, "HF_HUB_OFFLINE")) << message;
  message = resolve_error("./no/such/folder", options, ErrorKind::kCheckpoint);
  EXPECT_TRUE(contains(message, "no such directory")) << message;
  message = resolve_error("", options, ErrorKind::kCheckpoint);
  message = resolve_error((snapshot() / "config.json").string(), options, ErrorKind::kCheckpoint);
  EXPECT_TRUE(contains(message, "found a file")) << message;
  options.offline = false;
  message = resolve_error("org/tinny", options, ErrorKind::kNetwork);
  EXPECT_TRUE(contains(message, "org/tiny")) << message;
  options.offline = true;
  hub.server.forget_requests();
  EXPECT_THROW(pull_model("org/other", "", options), Error);
  EXPECT_TRUE(hub.server.requests().empty());
}

// Sets variables for one test and puts the old values back.
class Environment {
 public:
  ~Environment() {
    for (const auto& [name, value] : old_)
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  void set(const char* name, const char* value) {
    const char* before = std::getenv(name);
    old_.emplace(name, before ? std::optional<std::string>(before) : std::nullopt);
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
  }

 private:
  std::map<std::string, std::optional<std::string>> old_;
};

TEST_F(HubTest, OptionsFromTheEnvironment) {
  Environment env;
  for (const char* name :
       {"HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME",
        "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
        "XDG_CACHE_HOME", "HF_HUB_DISABLE_IMPLICIT_TOKEN"})
    env.set(name, nullptr);
  env.set("HOME", folder.c_str());
  HubOptions o = hub_options_from_environment();
  EXPECT_EQ(o.endpoint, "https://huggingface.co");
  EXPECT_EQ(o.cache, folder / ".cache/huggingface/hub");
  EXPECT_EQ(o.token, "");
  EXPECT_FALSE(o.offline);

  env.set("XDG_CACHE_HOME", "/x");
  EXPECT_EQ(hub_options_from_environment().cache, "/x/huggingface/hub");
  env.set("HF_HOME", "$HOME/h");
  EXPECT_EQ(hub_options_from_environment().cache, folder / "h/hub");
  fs::create_directories(folder / "h");
  write_text_file(folder / "h/token", "hf_file\n");
  EXPECT_EQ(hub_options_from_environment().token, "hf_file");
  env.set("HF_HUB_CACHE", "~/${UNKNOWN_MICA}/c");
  EXPECT_EQ(hub_options_from_environment().cache, folder / "${UNKNOWN_MICA}/c");
  env.set("HF_TOKEN", " hf_env\n");
  o = hub_options_from_environment();
  EXPECT_EQ(o.token, "hf_env");
  EXPECT_EQ(o.token_source, "HF_TOKEN");
  env.set("HF_ENDPOINT", "http://127.0.0.1:9/hub//");
  EXPECT_EQ(hub_options_from_environment().endpoint, "http://127.0.0.1:9/hub");
  for (const char* text : {"1", "true", "YES", "on"}) {
    env.set("HF_HUB_OFFLINE", text);
    EXPECT_TRUE(hub_options_from_environment().offline) << text;
  }
  env.set("HF_HUB_OFFLINE", "0");
  EXPECT_FALSE(hub_options_from_environment().offline);
  env.set("HF_TOKEN", "a\r\nX-Evil: 1");
  EXPECT_THROW(hub_options_from_environment(), Error);
  env.set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
  EXPECT_EQ(hub_options_from_environment().token, "");
}

}  // namespace
}  // namespace mica::hub
