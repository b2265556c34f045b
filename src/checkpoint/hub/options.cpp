// HubOptions from the environment variables that other tools of the hub use.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/error.h"
#include "base/expand.h"
#include "base/file.h"
#include "checkpoint/hub/hub.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string home_directory() {
  const std::string home = environment("HOME");
  if (!home.empty()) return home;
  const passwd* user = ::getpwuid(::getuid());
  return user && user->pw_dir ? user->pw_dir : "/";
}

std::string expanded(const std::string& text) {
  return expand_variables(text, [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME") return home_directory();
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  });
}

bool is_true(const std::string& text) {
  std::string upper = text;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper == "1" || upper == "ON" || upper == "YES" || upper == "TRUE";
}

std::string first_set(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const std::string value = environment(name);
    if (!value.empty()) return value;
  }
  return "";
}

std::string trimmed(const std::string& text) {
  const char* blank = " \t\r\n";
  const size_t begin = text.find_first_not_of(blank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

// A token goes into a header line: anything but visible ASCII would change the request.
void set_token(HubOptions& options, const std::string& text, const std::string& source) {
  const std::string token = trimmed(text);
  for (unsigned char c : token)
    if (c <= ' ' || c >= 127)
      throw Error(ErrorKind::kUsage,
                  "[hub] the token from {} holds blanks or control characters; expected one word "
                  "such as hf_…",
                  source);
  options.token = token;
  options.token_source = token.empty() ? "" : source;
}

void find_token(HubOptions& options, const fs::path& home) {
  if (is_true(environment("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    set_token(options, environment(name), name);
    if (!options.token.empty()) return;
  }
  const std::string path_text = environment("HF_TOKEN_PATH");
  const fs::path path = path_text.empty() ? home / "token" : fs::path(expanded(path_text));
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || ::access(path.c_str(), R_OK) != 0) return;
  set_token(options, read_text_file(path, 64 << 10), path.string());
}

}  // namespace

HubOptions hub_options_from_environment() {
  HubOptions options;
  options.endpoint = first_set({"HF_ENDPOINT"});
  if (options.endpoint.empty()) options.endpoint = "https://huggingface.co";
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();

  std::string home = expanded(environment("HF_HOME"));
  if (home.empty()) {
    const std::string cache = expanded(environment("XDG_CACHE_HOME"));
    home = (cache.empty() ? home_directory() + "/.cache" : cache) + "/huggingface";
  }
  const std::string cache = expanded(first_set({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}));
  options.cache = cache.empty() ? fs::path(home) / "hub" : fs::path(cache);
  options.offline = is_true(first_set({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  options.certificates = first_set({"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"});
  find_token(options, home);
  return options;
}

}  // namespace mica
