// Helpers beside a served engine, in containers of their own: a web page and a proxy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "bench/plan/plan.h"

namespace mica {

struct SidecarTarget {
  std::string url;    // of the engine
  std::string model;  // its served name
  std::string key;    // its bearer token, or empty
};

struct SidecarOptions {
  std::string image;  // empty: the pinned one below
  uint16_t port = 0;  // 0: the usual one
  std::string alias;  // LiteLLM: the model's name behind it; empty: the served name
};

inline constexpr const char* kOpenWebuiImage = "ghcr.io/open-webui/open-webui:v0.8.12";
inline constexpr const char* kLitellmImage = "ghcr.io/berriai/litellm:v1.91.0";
inline constexpr uint16_t kOpenWebuiPort = 3080, kLitellmPort = 4000;

// Plans for launch_engine: on loopback, by the host's network (the engine listens on loopback too).
// Without a login, as only this machine reaches it; chats stay in the volume mica-open-webui.
LaunchPlan open_webui_plan(const SidecarTarget& target, const SidecarOptions& options);
// OpenAI's and Anthropic's APIs under one alias. Writes its configuration into `folder`.
LaunchPlan litellm_plan(const SidecarTarget& target, const SidecarOptions& options,
                        const std::filesystem::path& folder);

}  // namespace mica
