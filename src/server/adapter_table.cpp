#include "server/adapter_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "server/server_error.h"

namespace mica {
namespace {

AdapterTable::Use make_use(const std::string& name, const std::string& path, int64_t id) {
  return std::make_shared<NamedAdapter>(
      NamedAdapter{name, path, id, static_cast<int64_t>(std::time(nullptr))});
}

}  // namespace

void AdapterTable::add(const std::string& name, const std::string& path) {
  const std::lock_guard change(changes_);
  if (name.empty()) throw RequestError("lora_name", "an adapter needs a name");
  if (has(name))
    throw RequestError("lora_name", fmt::format("the adapter '{}' is loaded already; unload it "
                                                "first, or choose another name",
                                                name.substr(0, 200)));
  const int64_t id = loader_.load(path);
  const std::lock_guard lock(mutex_);
  adapters_.push_back(make_use(name, path, id));
}

void AdapterTable::set_default(const std::string& path) {
  const std::lock_guard change(changes_);
  Use use = find(path);
  if (!use) use = make_use("", path, loader_.load(path));
  const std::lock_guard lock(mutex_);
  default_ = std::move(use);
}

void AdapterTable::remove(const std::string& name) {
  const std::lock_guard change(changes_);
  int64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(adapters_.begin(), adapters_.end(),
                                    [&](const Use& use) { return use->name == name; });
    if (found == adapters_.end())
      throw RequestError(ApiError{404, fmt::format("there is no adapter '{}'", name.substr(0, 200)),
                                  "lora_name", "adapter_not_found"});
    if (*found == default_)
      throw RequestError("lora_name",
                         fmt::format("the adapter '{}' stays: it is that of requests that name "
                                     "none (--adapter-path)",
                                     name.substr(0, 200)));
    // Copies are made from this one only, under the mutex: alone it stays alone.
    if (found->use_count() > 1)
      throw RequestError(
          ApiError{409,
                   fmt::format("the adapter '{}' is in use; try again when its requests have ended",
                               name.substr(0, 200)),
                   "lora_name", "adapter_in_use", 1});
    id = (*found)->id;
    adapters_.erase(found);
  }
  loader_.unload(id);
}

AdapterTable::Use AdapterTable::find(const std::string& name_or_path) const {
  const std::lock_guard lock(mutex_);
  for (const Use& use : adapters_)
    if (use->name == name_or_path) return use;
  for (const Use& use : adapters_)
    if (use->path == name_or_path) return use;
  return default_ && default_->path == name_or_path ? default_ : nullptr;
}

AdapterTable::Use AdapterTable::default_use() const {
  const std::lock_guard lock(mutex_);
  return default_;
}

std::vector<AdapterTable::Use> AdapterTable::list() const {
  const std::lock_guard lock(mutex_);
  return adapters_;
}

}  // namespace mica
