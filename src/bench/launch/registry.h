// Which tags a registry has for an image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mica {

struct RegistryTag {
  std::string name;
  // Of Docker Hub alone:
  std::string updated;  // UTC, "2026-01-31T12:00:00.123Z"
  std::string digest;   // "sha256:…"
  uint64_t bytes = 0;   // as it is sent
};

struct RegistryQuestion {
  std::string image;  // "vllm/vllm-openai", "ghcr.io/org/name"; a tag or digest is left out
  std::string part;   // only tags with it in their name; empty: all
  size_t limit = 20;
  std::string url;  // asked instead of the image's registry; empty: that
};

// The newest first: Docker Hub says when; elsewhere by the numbers in the names. Anonymously, by
// the API of Docker Hub for its images, else by that of the OCI. Throws Error(kBackend) with what
// the registry said.
std::vector<RegistryTag> registry_tags(const RegistryQuestion& question);

}  // namespace mica
