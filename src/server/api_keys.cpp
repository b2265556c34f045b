#include "server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <fstream>

#include "base/error.h"

namespace mica {
namespace {

constexpr std::string_view kBearer = "Bearer ";

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

ApiKeys::Hash ApiKeys::hash(std::string_view key) {
  Hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
  return hash;
}

void ApiKeys::add(std::string_view key) {
  key = trim(key);
  if (key.empty()) throw Error(ErrorKind::kUsage, "[serve] --api-key: the key is empty");
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; }))
    throw Error(ErrorKind::kUsage,
                "[serve] --api-key: expected visible ASCII characters without spaces");
  hashes_.push_back(hash(key));
}

void ApiKeys::add_file(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw Error(ErrorKind::kUsage,
                "[serve] --api-key-file {}: it can't be read; is the path right?", path);
  const size_t before = hashes_.size();
  for (std::string line; std::getline(file, line);) {
    const std::string_view key = trim(line);
    if (!key.empty() && key.front() != '#') add(key);
  }
  if (hashes_.size() == before)
    throw Error(ErrorKind::kUsage, "[serve] --api-key-file {}: expected one key a line, found none",
                path);
}

bool ApiKeys::allow(std::string_view key) const {
  const Hash shown = hash(key);
  bool found = false;
  for (const Hash& known : hashes_)  // all of them: which one matched can't be measured
    found |= CRYPTO_memcmp(shown.data(), known.data(), shown.size()) == 0;
  return found;
}

bool ApiKeys::allow(const HttpRequest& request) const {
  const std::string_view bearer = request.header("authorization");
  if (bearer.size() > kBearer.size() &&
      boost::beast::iequals({bearer.data(), kBearer.size()}, {kBearer.data(), kBearer.size()}))
    return allow(trim(bearer.substr(kBearer.size())));
  const std::string_view key = trim(request.header("x-api-key"));
  return !key.empty() && allow(key);
}

}  // namespace mica
