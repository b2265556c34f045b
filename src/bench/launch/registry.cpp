#include "bench/launch/registry.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "bench/client/fetch.h"
#include "bench/launch/docker.h"

namespace mica {
namespace {

using nlohmann::json;

constexpr int kMaxPages = 50;
constexpr int kHubPage = 100, kOciPage = 1000;  // tags of one answer, at most
constexpr double kSeconds = 30;

struct Place {
  bool hub = false;  // Docker Hub
  std::string url, host, repository;
};

// As Docker reads names: the first part is a host when it looks like one.
Place place_of(const RegistryQuestion& question) {
  const std::string name = repository(question.image);
  const size_t first = name.find('/');
  const std::string head = first == name.npos ? "" : name.substr(0, first);
  const bool host = head.find_first_of(".:") != head.npos || head == "localhost";
  Place place;
  place.hub = !host || head == "docker.io";
  place.host = place.hub ? "hub.docker.com" : head;
  place.repository = host ? name.substr(first + 1) : name;
  if (place.hub && place.repository.find('/') == place.repository.npos)
    place.repository = "library/" + place.repository;
  place.url = question.url.empty() ? "https://" + place.host : question.url;
  const bool good =
      !place.repository.empty() &&
      std::all_of(place.repository.begin(), place.repository.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '/' || c == '-' || c == '_' || c == '.';
      });
  if (!good) throw Error(ErrorKind::kUsage, "[images] '{}' is no name of an image", question.image);
  return place;
}

// What is left as it is in a query; anything else would need an escape.
bool plain(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

[[noreturn]] void fail(const Place& place, const std::string& path, const std::string& found) {
  throw Error(ErrorKind::kBackend, "[images] {}{}: expected a list of tags, found {}", place.url,
              path, found);
}

json document(const Place& place, const std::string& path, const RequestSample& answer) {
  if (answer.http_status != 200) {
    const std::string said =
        answer.http_status ? fmt::format("HTTP {}", answer.http_status) : answer.error;
    fail(place, path,
         answer.http_status == 401 || answer.http_status == 404
             ? said + ": there is no such repository, or it is not public"
             : said);
  }
  json value = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) fail(place, path, "no JSON object");
  return value;
}

std::string text_at(const json& value, const char* key) {
  const auto found = value.is_object() ? value.find(key) : value.end();
  return found != value.end() && found->is_string() ? found->get<std::string>() : "";
}

const json& list_at(const Place& place, const std::string& path, const json& value,
                    const char* key) {
  static const json kNone = json::array();
  const auto found = value.find(key);
  if (found == value.end() || !(found->is_array() || found->is_null()))
    fail(place, path, fmt::format("no list '{}'", key));
  return found->is_null() ? kNone : *found;
}

bool wanted(const RegistryQuestion& question, const std::string& tag) {
  return !tag.empty() && tag.find(question.part) != tag.npos;
}

std::vector<RegistryTag> hub_tags(const Place& place, const RegistryQuestion& question) {
  std::vector<RegistryTag> tags;
  for (int page = 1; page <= kMaxPages && tags.size() < question.limit; ++page) {
    std::string path = fmt::format(
        "/v2/repositories/{}/tags?page_size={}&page={}"
        "&ordering=last_updated",
        place.repository, kHubPage, page);
    if (!question.part.empty() && plain(question.part)) path += "&name=" + question.part;
    const RequestSample answer = fetch({.url = place.url}, "GET", path, "", kSeconds);
    if (page > 1 && answer.http_status == 404) break;  // behind the last one
    const json value = document(place, path, answer);
    const json& results = list_at(place, path, value, "results");
    for (const json& each : results) {
      RegistryTag tag{text_at(each, "name"), text_at(each, "last_updated"), text_at(each, "digest"),
                      0};
      if (!wanted(question, tag.name)) continue;
      const auto bytes = each.find("full_size");
      if (bytes != each.end() && bytes->is_number_unsigned()) tag.bytes = bytes->get<uint64_t>();
      tags.push_back(std::move(tag));
    }
    if (results.empty() || text_at(value, "next").empty()) break;
  }
  std::stable_sort(tags.begin(), tags.end(), [](const RegistryTag& a, const RegistryTag& b) {
    return a.updated > b.updated;
  });
  return tags;
}

// Whether `a` is before `b`, runs of digits by their value: "b999" before "b10000".
bool number_less(const std::string& a, const std::string& b) {
  size_t i = 0, j = 0;
  const auto digit = [](const std::string& text, size_t at) {
    return at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0;
  };
  const auto run = [&](const std::string& text, size_t& at) {
    while (at + 1 < text.size() && text[at] == '0' && digit(text, at + 1)) ++at;
    const size_t begin = at;
    while (digit(text, at)) ++at;
    return text.substr(begin, at - begin);
  };
  while (i < a.size() && j < b.size()) {
    if (digit(a, i) && digit(b, j)) {
      const std::string x = run(a, i), y = run(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

// Public repositories want a token, too, which anyone gets.
std::string anonymous_token(const Place& place) {
  const std::string service =
      place.host == "nvcr.io" ? "/proxy_auth?" : "/token?service=" + place.host + "&";
  const std::string path = service + "scope=repository:" + place.repository + ":pull";
  const json value = document(place, path, fetch({.url = place.url}, "GET", path, "", kSeconds));
  const std::string token = text_at(value, "token");
  return token.empty() ? text_at(value, "access_token") : token;
}

std::vector<RegistryTag> oci_tags(const Place& place, const RegistryQuestion& question) {
  std::vector<RegistryTag> tags;
  std::string token, last;
  for (int page = 0; page < kMaxPages; ++page) {
    std::string path = fmt::format("/v2/{}/tags/list?n={}", place.repository, kOciPage);
    if (!last.empty()) path += "&last=" + last;
    RequestSample answer = fetch({.url = place.url, .api_key = token}, "GET", path, "", kSeconds);
    if (answer.http_status == 401 && token.empty()) {
      token = anonymous_token(place);
      answer = fetch({.url = place.url, .api_key = token}, "GET", path, "", kSeconds);
    }
    const json value = document(place, path, answer);
    const std::string before = last;
    for (const json& each : list_at(place, path, value, "tags")) {
      if (!each.is_string()) continue;
      last = each.get<std::string>();
      if (wanted(question, last)) tags.push_back({last, "", "", 0});
    }
    if (last == before || !plain(last)) break;
  }
  std::sort(tags.begin(), tags.end(),
            [](const RegistryTag& a, const RegistryTag& b) { return number_less(b.name, a.name); });
  const auto same = [](const RegistryTag& a, const RegistryTag& b) { return a.name == b.name; };
  tags.erase(std::unique(tags.begin(), tags.end(), same), tags.end());
  return tags;
}

}  // namespace

std::vector<RegistryTag> registry_tags(const RegistryQuestion& question) {
  const Place place = place_of(question);
  std::vector<RegistryTag> tags = place.hub ? hub_tags(place, question) : oci_tags(place, question);
  if (tags.size() > question.limit) tags.resize(question.limit);
  return tags;
}

}  // namespace mica
