#include "checkpoint/hub/listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/hub/names.h"

namespace mica::hub {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxListingBytes = 32 << 20;
constexpr size_t kMaxFiles = 100'000;
constexpr int kMaxDepth = 32;

[[noreturn]] void throw_bad_listing(const std::string& url, const std::string& why) {
  throw Error(ErrorKind::kNetwork,
              "[hub] {}: {}; is HF_ENDPOINT a hub, or does a proxy answer in its place?",
              printable(url), why);
}

const Json& member(const Json& object, const char* key, Json::value_t type,
                   const std::string& url) {
  const auto found = object.find(key);
  if (found == object.end() || found->type() != type)
    throw_bad_listing(url, fmt::format("expected a JSON object with '{}' of type {}, found {}", key,
                                       Json(type).type_name(),
                                       found == object.end() ? "none" : found->type_name()));
  return *found;
}

std::string login_help(const HubOptions& options) {
  if (options.token.empty())
    return fmt::format(
        "set HF_TOKEN to a token of an account that may read it ({}/settings/tokens)",
        options.endpoint);
  return fmt::format(
      "the token from {} was sent: check that it is valid and may read this model "
      "({}/settings/tokens)",
      options.token_source.empty() ? "the options" : options.token_source, options.endpoint);
}

}  // namespace

Listing parse_listing(std::string_view json, const std::string& url) {
  bool too_deep = false;
  const auto limit = [&](int depth, Json::parse_event_t, Json&) {
    too_deep |= depth > kMaxDepth;
    return !too_deep;
  };
  const Json root = Json::parse(json, limit, /*allow_exceptions=*/false);
  if (too_deep || !root.is_object())
    throw_bad_listing(url, fmt::format("expected a JSON object, found '{}'", printable(json, 60)));
  Listing listing;
  listing.commit = member(root, "sha", Json::value_t::string, url).get<std::string>();
  if (!is_commit(listing.commit))
    throw_bad_listing(url, fmt::format("expected a commit hash in 'sha', found '{}'",
                                       printable(listing.commit, 80)));
  const Json& files = member(root, "siblings", Json::value_t::array, url);
  if (files.size() > kMaxFiles)
    throw_bad_listing(url,
                      fmt::format("expected at most {} files, found {}", kMaxFiles, files.size()));
  for (const Json& file : files) {
    if (!file.is_object()) throw_bad_listing(url, "expected objects in 'siblings'");
    std::string name = member(file, "rfilename", Json::value_t::string, url).get<std::string>();
    if (!is_file_name(name))
      throw_bad_listing(url, fmt::format("the file name '{}' could leave the cache folder; nothing "
                                         "was written",
                                         printable(name, 120)));
    listing.files.push_back(std::move(name));
  }
  std::sort(listing.files.begin(), listing.files.end());
  listing.files.erase(std::unique(listing.files.begin(), listing.files.end()), listing.files.end());
  return listing;
}

Listing fetch_listing(HttpClient& client, const HubOptions& options, const ModelId& id,
                      const OnRetry& on_retry) {
  HttpRequest request;
  request.url = fmt::format("{}/api/models/{}/revision/{}", options.endpoint, id.repo,
                            url_encode(id.revision, /*keep_slash=*/false));
  request.max_body = kMaxListingBytes;
  const HttpResponse response = send_patiently(client, request, options.patience, on_retry);
  if (!response.ok()) throw_refusal(response, options, id);
  return parse_listing(response.body, request.url);
}

std::string file_url(const HubOptions& options, const std::string& repo, const std::string& commit,
                     const std::string& file) {
  return fmt::format("{}/{}/resolve/{}/{}", options.endpoint, repo, commit,
                     url_encode(file, /*keep_slash=*/true));
}

std::optional<RemoteFile> fetch_metadata(HttpClient& client, const HubOptions& options,
                                         const ModelId& id, const std::string& commit,
                                         const std::string& file, const OnRetry& on_retry) {
  HttpRequest request;
  request.url = file_url(options, id.repo, commit, file);
  request.head = true;
  request.stay_at_origin = true;
  const HttpResponse response = send_patiently(client, request, options.patience, on_retry);
  const bool answered = response.failure.empty() && response.status >= 200 && response.status < 400;
  if (response.failure.empty() && response.status == 404) {
    const std::string code = response.header("x-error-code");
    if (code == "EntryNotFound" || code.empty()) return std::nullopt;
  }
  if (!answered) throw_refusal(response, options, id);

  RemoteFile remote;
  remote.name = file;
  // A redirect's own length is not the file's; its X-Linked-… are.
  const bool redirected = response.status >= 300;
  std::string etag = response.header("x-linked-etag");
  if (etag.empty()) etag = response.header("etag");
  if (etag.starts_with("W/")) etag.erase(0, 2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  if (!is_etag(etag))
    throw Error(ErrorKind::kNetwork,
                "[hub] {}: expected an ETag that names the content, found '{}'; is {} a hub?",
                printable(request.url), printable(etag, 80), options.endpoint);
  remote.etag = etag;
  remote.size = response.number("x-linked-size");
  if (!remote.size && !redirected) remote.size = response.number("content-length");
  return remote;
}

void throw_refusal(const HttpResponse& response, const HubOptions& options, const ModelId& id) {
  const std::string said = describe(response);
  const std::string code = response.header("x-error-code");
  if (!response.failure.empty() || response.transient)
    throw Error(ErrorKind::kNetwork,
                "[hub] {}: {}; check the network, HF_ENDPOINT ({}) and the proxy settings, then "
                "pull again: it continues where it stopped",
                printable(response.url), said, options.endpoint);
  if (code == "GatedRepo" || (response.status == 403 && code.empty()))
    throw Error(ErrorKind::kNetwork,
                "[hub] {} is gated: {}; open {}/{} in a browser, accept its conditions with your "
                "account, then {}",
                id.repo, said, options.endpoint, id.repo, login_help(options));
  if (code == "RevisionNotFound")
    throw Error(ErrorKind::kNetwork, "[hub] {} has no branch, tag or commit '{}': {}", id.repo,
                id.revision, said);
  // The hub answers 401 both for a private model and for one that doesn't exist.
  if (response.status == 401 || response.status == 403 || code == "RepoNotFound")
    throw Error(ErrorKind::kNetwork,
                "[hub] {} doesn't exist on {} or may not be read: {}; check the spelling, and if "
                "it is private or gated, {}",
                id.repo, options.endpoint, said, login_help(options));
  if (response.status == 404)
    throw Error(ErrorKind::kNetwork,
                "[hub] {}: not found (HTTP 404); check the spelling of '{}' and of the revision "
                "'{}'",
                printable(response.url), id.repo, id.revision);
  throw Error(ErrorKind::kNetwork, "[hub] {}: expected a 2xx answer, found {}",
              printable(response.url), said);
}

}  // namespace mica::hub
