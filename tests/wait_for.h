// What an engine answers to a request that ends by its length.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "engine/engine.h"

namespace mica {

inline std::vector<int32_t> wait_for(EventStream& stream) {
  std::vector<int32_t> tokens;
  for (int quiet = 0; quiet < 1200;) {
    const auto event = stream.next(std::chrono::milliseconds(100));
    if (!event) {
      ++quiet;
      continue;
    }
    if (event->kind == Event::Kind::kToken) tokens.push_back(event->token.token);
    if (event->kind == Event::Kind::kFinished) {
      EXPECT_EQ(event->reason, FinishReason::kLength) << event->error;
      return tokens;
    }
  }
  ADD_FAILURE() << "no end within two minutes of silence";
  return tokens;
}

}  // namespace mica
