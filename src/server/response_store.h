// Responses that were asked to be kept: bounded, the longest unused go first.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/limits.h"

namespace mica {

struct StoredResponse {
  std::string body;      // the response object
  std::string input;     // a list: the items of the request
  std::string dialogue;  // a list: all items so far, this answer's too
  size_t bytes() const { return body.size() + input.size() + dialogue.size(); }
};

// Thread-safe.
class ResponseStore {
 public:
  explicit ResponseStore(size_t most = limits::kStoredResponses,
                         size_t most_bytes = limits::kStoredResponseBytes)
      : most_(most), most_bytes_(most_bytes) {}

  // One that is larger than the store is not kept.
  void put(const std::string& id, StoredResponse response);
  std::optional<StoredResponse> get(const std::string& id);
  bool erase(const std::string& id);
  size_t size() const;

 private:
  struct Entry {
    std::string id;
    StoredResponse response;
  };
  void drop(std::list<Entry>::iterator entry);

  const size_t most_, most_bytes_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // used last first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
  size_t bytes_ = 0;
};

}  // namespace mica
