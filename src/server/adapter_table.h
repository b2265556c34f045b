// The LoRA adapters of a loaded model by name; requests hold the one they use.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace mica {

struct NamedAdapter {
  std::string name, path;
  int64_t id = 0;       // Request::adapter
  int64_t created = 0;  // unix seconds
};

// Thread-safe.
class AdapterTable {
 public:
  using Use = std::shared_ptr<const NamedAdapter>;
  struct Loader {
    std::function<int64_t(const std::string& path)> load;  // the adapter's id; throws Error
    std::function<void(int64_t id)> unload;
  };
  // allow_changes: clients may add and remove some.
  AdapterTable(Loader loader, bool allow_changes)
      : loader_(std::move(loader)), allow_changes_(allow_changes) {}

  // Takes a while. Throws RequestError(400) if the name is taken, and what the loader throws.
  void add(const std::string& name, const std::string& path);
  // Throws RequestError: 404 no such adapter, 400 it is the default, 409 requests use it.
  void remove(const std::string& name);
  // The adapter of requests that name none; no other name is given to it but its path.
  void set_default(const std::string& path);

  bool has(const std::string& name) const { return find(name) != nullptr; }
  Use find(const std::string& name_or_path) const;  // null: none
  Use default_use() const;                          // null: none
  std::vector<Use> list() const;                    // those with names
  bool allows_changes() const { return allow_changes_; }

 private:
  const Loader loader_;
  const bool allow_changes_;
  std::mutex changes_;  // one change at a time
  mutable std::mutex mutex_;
  // Under the mutex:
  std::vector<Use> adapters_;
  Use default_;
};

}  // namespace mica
