#include "server/response_store.h"

#include <utility>

namespace mica {

void ResponseStore::put(const std::string& id, StoredResponse response) {
  const size_t bytes = response.bytes();
  if (bytes > most_bytes_ || most_ == 0) return;
  const std::lock_guard lock(mutex_);
  if (const auto found = index_.find(id); found != index_.end()) drop(found->second);
  while (!entries_.empty() && (entries_.size() >= most_ || bytes_ + bytes > most_bytes_))
    drop(std::prev(entries_.end()));
  entries_.push_front({id, std::move(response)});
  index_[id] = entries_.begin();
  bytes_ += bytes;
}

std::optional<StoredResponse> ResponseStore::get(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(id);
  if (found == index_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->response;
}

bool ResponseStore::erase(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(id);
  if (found == index_.end()) return false;
  drop(found->second);
  return true;
}

size_t ResponseStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void ResponseStore::drop(std::list<Entry>::iterator entry) {
  bytes_ -= entry->response.bytes();
  index_.erase(entry->id);
  entries_.erase(entry);
}

}  // namespace mica
