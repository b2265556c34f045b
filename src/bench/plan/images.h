// Images of backends: the one that a plan takes, and all that a configuration names.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/plan/descriptor.h"
#include "bench/plan/layers.h"
#include "bench/plan/models_file.h"
#include "bench/plan/request.h"

namespace mica {

struct ChosenImage {
  Sourced image;       // "vllm/vllm-openai:v0.11.0"
  std::string digest;  // "sha256:…" that it must have; empty = any
  bool build = false;
  std::string context, file, dockerfile;  // as those of LaunchPlan
  std::vector<PlanVariable> arguments;    // of the build

  std::string name() const { return digest.empty() ? image.value : image.value + "@" + digest; }
};

// The version that the layers want, else the descriptor's.
Sourced wanted_version(const BackendDescriptor& backend, const MergedLayers& merged);

// `backend` has a `docker`. A build is for the GPUs of `facts`. Throws Error(kUsage): nothing says
// how it is built, a pull request for a backend that takes none.
ChosenImage choose_image(const BackendDescriptor& backend, const MergedLayers& merged,
                         const PlanFacts& facts);

struct NamedImage {
  std::string backend;
  std::string user;  // "defaults", "model org/name", "profile fast of org/name"
  ChosenImage chosen;
};

// Of all backends that run in containers, in the order of the table; each image of a backend once.
std::vector<NamedImage> named_images(const BackendTable& table, const ModelsFile& models,
                                     const PlanFacts& facts);

// The file of pins: names of images, each with the digest that is taken where no layer says
// another. Throws Error(kUsage) with the line.
std::map<std::string, std::string> parse_pins(std::string_view yaml, const std::string& place);
std::string pins_yaml(const std::map<std::string, std::string>& pins);

}  // namespace mica
