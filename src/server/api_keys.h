// The keys that clients may show. Only their SHA-256 is kept.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace mica {

class ApiKeys {
 public:
  // Throws Error(kUsage) for an empty key and one that no header can carry.
  void add(std::string_view key);
  // One key a line; empty lines and those that begin with # are skipped. Throws Error(kUsage) when
  // the file can't be read or has no key.
  void add_file(const std::string& path);

  bool empty() const { return hashes_.empty(); }
  // Takes the same time for every key of one length, right or wrong.
  bool allow(std::string_view key) const;
  // By "Authorization: Bearer KEY" or "x-api-key: KEY".
  bool allow(const HttpRequest& request) const;

 private:
  using Hash = std::array<uint8_t, 32>;
  static Hash hash(std::string_view key);
  std::vector<Hash> hashes_;
};

}  // namespace mica
