#include "fake_engine/truth.h"

#include <nlohmann/json.hpp>

namespace mica::fake {

using Json = nlohmann::json;

int64_t Truths::add(Truth truth) {
  const std::lock_guard lock(mutex_);
  truth.number = static_cast<int64_t>(all_.size());
  all_.push_back(std::move(truth));
  return all_.back().number;
}

std::vector<Truth> Truths::all() const {
  const std::lock_guard lock(mutex_);
  return {all_.begin(), all_.end()};
}

Json Truths::json() const {
  Json list = Json::array();
  for (const Truth& truth : all()) {
    Json body = Json::parse(truth.body, nullptr, /*allow_exceptions=*/false);
    if (body.is_discarded()) body = truth.body;
    list.push_back({{"number", truth.number},
                    {"path", truth.path},
                    {"body", std::move(body)},
                    {"authorization", truth.authorization},
                    {"received", truth.received},
                    {"began", truth.began},
                    {"head", truth.head},
                    {"due", truth.due},
                    {"sent", truth.sent},
                    {"tokens", truth.tokens},
                    {"ended", truth.ended},
                    {"outcome", truth.outcome},
                    {"prompt_tokens", truth.prompt_tokens},
                    {"cached_tokens", truth.cached_tokens}});
  }
  return list;
}

}  // namespace mica::fake
