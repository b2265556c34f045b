#include "fake_engine/script.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"

namespace mica::fake {

using Json = nlohmann::json;

namespace {

constexpr std::array kDialects = {Dialect::kOpenAi,   Dialect::kVllm,   Dialect::kSglang,
                                  Dialect::kLlamaCpp, Dialect::kTrtLlm, Dialect::kMlx,
                                  Dialect::kMica,     Dialect::kTabby};

[[noreturn]] void wrong(const std::string& place, const std::string& expected) {
  throw Error(ErrorKind::kUsage, "[fake_engine] {}: expected {}", place, expected);
}

// The members of one object; each is taken once, and what is left is unknown.
class Members {
 public:
  Members(const Json& object, std::string place) : object_(object), place_(std::move(place)) {
    if (!object.is_object()) wrong(place_, "an object");
  }

  void take(const char* key, double& to) {
    if (const Json* value = find(key))
      to = value->is_number() ? value->get<double>() : refuse(key, "a number");
  }
  void take(const char* key, int64_t& to) {
    if (const Json* value = find(key))
      to = value->is_number_integer() ? value->get<int64_t>()
                                      : int64_t(refuse(key, "a whole number"));
  }
  void take(const char* key, bool& to) {
    if (const Json* value = find(key))
      to = value->is_boolean() ? value->get<bool>() : refuse(key, "true or false");
  }
  void take(const char* key, std::string& to) {
    if (const Json* value = find(key)) {
      if (!value->is_string()) refuse(key, "a text");
      to = value->get<std::string>();
    }
  }
  template <typename Item, typename Read>
  void take_list(const char* key, std::vector<Item>& to, const Read& read) {
    const Json* value = find(key);
    if (!value) return;
    if (!value->is_array()) refuse(key, "a list");
    to.clear();
    for (size_t i = 0; i < value->size(); ++i)
      to.push_back(read((*value)[i], path(key) + "." + std::to_string(i)));
  }
  template <typename Read>
  void take_object(const char* key, const Read& read) {
    if (const Json* value = find(key)) read(*value, path(key));
  }

  void nothing_else() const {
    for (const auto& [key, value] : object_.items())
      if (!known_.count(key)) wrong(path(key), "a member that README.md names");
  }

 private:
  std::string path(const std::string& key) const {
    return place_.empty() ? key : place_ + "." + key;
  }
  double refuse(const char* key, const char* expected) const { wrong(path(key), expected); }
  const Json* find(const char* key) {
    known_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  const Json& object_;
  const std::string place_;
  std::set<std::string> known_;
};

double read_number(const Json& json, const std::string& place) {
  if (!json.is_number()) wrong(place, "a number");
  return json.get<double>();
}

std::string read_text(const Json& json, const std::string& place) {
  if (!json.is_string()) wrong(place, "a text");
  return json.get<std::string>();
}

Timing read_timing(const Json& json, const std::string& place) {
  Timing out;
  Members members(json, place);
  members.take("first_token_ms", out.first_token_ms);
  members.take("prompt_token_ms", out.prompt_token_ms);
  members.take("interval_ms", out.interval_ms);
  members.take_list("intervals_ms", out.intervals_ms, read_number);
  members.take("jitter_ms", out.jitter_ms);
  members.take("slots", out.slots);
  members.take("gather", out.gather);
  members.take("load_factor", out.load_factor);
  members.take("slow_requests", out.slow_requests);
  members.take("slow_factor", out.slow_factor);
  members.nothing_else();
  return out;
}

CannedText read_canned(const Json& json, const std::string& place) {
  CannedText out;
  Members members(json, place);
  members.take("contains", out.contains);
  members.take("text", out.text);
  members.nothing_else();
  return out;
}

void one_of(const std::string& place, const std::string& value,
            std::initializer_list<const char*> allowed) {
  std::string all;
  for (const char* word : allowed) {
    if (value == word) return;
    all += std::string(all.empty() ? "'" : ", '") + word + "'";
  }
  wrong(place, all);
}

Answer read_answer(const Json& json, const std::string& place) {
  Answer out;
  Members members(json, place);
  members.take("tokens", out.tokens);
  members.take("tokens_per_chunk", out.tokens_per_chunk);
  members.take("reasoning_tokens", out.reasoning_tokens);
  members.take("reasoning_field", out.reasoning_field);
  members.take("tool_call", out.tool_call);
  members.take("role_chunk", out.role_chunk);
  members.take("usage", out.usage);
  members.take("usage_error", out.usage_error);
  members.take("template_tokens", out.template_tokens);
  members.take("cached_tokens", out.cached_tokens);
  members.take("prefix_cache", out.prefix_cache);
  members.take("keep_alive_ms", out.keep_alive_ms);
  members.take("split_bytes", out.split_bytes);
  members.take("split_ms", out.split_ms);
  members.take("content_type", out.content_type);
  members.take("framing", out.framing);
  members.take("text", out.text);
  members.take_list("texts", out.texts, read_canned);
  members.take("same_word", out.same_word);
  members.take("vary", out.vary);
  members.nothing_else();
  one_of(place + ".role_chunk", out.role_chunk, {"at_once", "first", "none"});
  one_of(place + ".usage", out.usage, {"asked", "always", "never"});
  one_of(place + ".framing", out.framing, {"chunked", "close", "chunked_once"});
  if (out.tokens_per_chunk < 1) wrong(place + ".tokens_per_chunk", "at least 1");
  return out;
}

Start read_start(const Json& json, const std::string& place) {
  Start out;
  Members members(json, place);
  members.take("listen_ms", out.listen_ms);
  members.take("health_ms", out.health_ms);
  members.take("models_ms", out.models_ms);
  members.take("models_text", out.models_text);
  members.take("generate_ms", out.generate_ms);
  members.take("identity", out.identity);
  members.take_list("log", out.log, read_text);
  members.take("log_line_ms", out.log_line_ms);
  members.take("log_bytes", out.log_bytes);
  members.take("exit_ms", out.exit_ms);
  members.take("exit_status", out.exit_status);
  members.take("failure", out.failure);
  members.take("ignore_sigterm", out.ignore_sigterm);
  members.take("children", out.children);
  members.nothing_else();
  one_of(place + ".identity", out.identity, {"", "web", "silent", "ssh"});
  return out;
}

Fault read_fault(const Json& json, const std::string& place) {
  Fault out;
  Members members(json, place);
  members.take("kind", out.kind);
  members.take("first", out.first);
  members.take("count", out.count);
  members.take("every", out.every);
  members.take("at", out.at);
  members.take("after_chunks", out.after_chunks);
  members.take("status", out.status);
  members.take("body", out.body);
  members.take("bytes", out.bytes);
  members.take("tokens", out.tokens);
  members.take("ms", out.ms);
  members.nothing_else();
  one_of(place + ".kind", out.kind,
         {"hang", "drop", "reset", "crash", "exit", "status", "garbage", "error_event",
          "invalid_json", "partial_json", "no_done", "oversized", "short", "endless", "empty",
          "whole", "pause", "log_flood"});
  one_of(place + ".at", out.at, {"head", "token", "stream"});
  if (out.every < 1) wrong(place + ".every", "at least 1");
  return out;
}

}  // namespace

const char* name(Dialect dialect) {
  switch (dialect) {
    case Dialect::kOpenAi: return "openai";
    case Dialect::kVllm: return "vllm";
    case Dialect::kSglang: return "sglang";
    case Dialect::kLlamaCpp: return "llamacpp";
    case Dialect::kTrtLlm: return "trtllm";
    case Dialect::kMlx: return "mlx";
    case Dialect::kMica: return "mica";
    case Dialect::kTabby: return "tabby";
  }
  MICA_CHECK(false);
}

Script read_script(const Json& json) {
  Script out;
  std::string dialect = name(out.dialect);
  Members members(json, "");
  members.take("host", out.host);
  members.take("port", out.port);
  members.take("port_file", out.port_file);
  members.take("dialect", dialect);
  members.take("model", out.model);
  members.take("version", out.version);
  members.take("api_key", out.api_key);
  members.take("cert_file", out.cert_file);
  members.take("key_file", out.key_file);
  members.take("seed", out.seed);
  members.take("engines", out.engines);
  members.take("strict_fields", out.strict_fields);
  members.take("max_context", out.max_context);
  const auto into = [](auto& to, auto read) {
    return [&to, read](const Json& value, const std::string& place) { to = read(value, place); };
  };
  members.take_object("timing", into(out.timing, read_timing));
  members.take_object("answer", into(out.answer, read_answer));
  members.take_object("start", into(out.start, read_start));
  members.take_list("faults", out.faults, read_fault);
  members.nothing_else();
  const auto found = std::find_if(kDialects.begin(), kDialects.end(),
                                  [&](Dialect d) { return dialect == name(d); });
  if (found == kDialects.end())
    wrong("dialect", "'vllm', 'sglang', 'llamacpp', 'trtllm', 'mlx', 'mica' or 'openai'");
  out.dialect = *found;
  if (out.engines < 1) wrong("engines", "at least 1");
  return out;
}

void set_member(Json& script, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) wrong("--set " + assignment, "path=value");
  std::string path = assignment.substr(0, equals);
  std::replace(path.begin(), path.end(), '.', '/');
  const std::string text = assignment.substr(equals + 1);
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) value = text;
  try {
    script[Json::json_pointer("/" + path)] = std::move(value);
  } catch (const Json::exception& error) {
    wrong("--set " + assignment, "the path of a member");
  }
}

}  // namespace mica::fake
