// What one place of the models file, or the command line, says about a backend; and how such
// layers lie upon each other. Later layers win:
//   descriptor → the load's needs → defaults → patterns that match → model → profile → command line
// A plain value replaces. Maps are merged key by key; a key without a value takes it away. Lists
// grow; a list may also say `remove` or `replace`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/plan/descriptor.h"

namespace mica {

// First what it takes away of the layers below, then what it adds.
struct ListChange {
  bool replace = false;              // all of it
  std::vector<PlanArgument> remove;  // flags, or whole entries
  std::vector<PlanArgument> add;
};

struct SettingValue {
  std::vector<std::string> values;  // several: of a list
  Origin origin;
};

// Keys are names of settings, variables or fields; nullopt takes what lies below away.
using SettingMap = std::map<std::string, std::optional<SettingValue>>;
using TextMap = std::map<std::string, std::optional<Sourced>>;

struct Layer {
  std::string title;  // "defaults", "pattern 'GLM*'", "profile fast", "the command line"
  // version image digest image_type build_context build_file pr mode url directory
  std::map<std::string, Sourced> scalars;
  SettingMap settings;
  TextMap environment;
  TextMap build_arguments;  // of the image
  TextMap sampling;         // fields of requests, JSON values
  std::optional<SettingValue> program;
  ListChange extra_arguments, docker_options;
  ListChange mounts;  // of one word each: "HOST:CONTAINER[:rw]"
};

// Whether a setting is said by the plan itself, and never by a layer: model, host, port.
bool is_of_the_plan(const std::string& setting);

// Whether a word begins an argument: "-x", "--x"; "-1" and "-" do not.
bool begins_argument(const std::string& word);

// Words as a command line has them: each flag with the values that follow it. Throws Error(kUsage)
// for "--flag value" in one word.
std::vector<PlanArgument> group_words(const std::vector<std::string>& words, const Origin& origin);

// The flag of an argument: "--a" of {"--a", "1"} and of {"--a=1"}; empty for others.
std::string flag_of(const PlanArgument& argument);

struct MergedLayers {
  std::map<std::string, Sourced> scalars;
  SettingMap settings;  // by the backend's own names
  TextMap environment, build_arguments, sampling;
  std::optional<SettingValue> program;
  std::vector<PlanArgument> extra_arguments;  // that are no settings
  // Of Docker: what is added, and what goes of the descriptor's.
  std::vector<PlanArgument> docker_options, removed_docker_options;
  bool replaces_docker_options = false;
  std::vector<PlanArgument> mounts, removed_mounts;
  std::vector<std::string> warnings;
};

// Lays `layers` upon each other, lowest first. Names of settings are checked against the backend
// and become its own; an extra argument that gives a setting is one, so that a later layer wins
// whichever way it says it. Throws Error(kUsage).
MergedLayers merge_layers(const BackendDescriptor& backend, const std::vector<Layer>& layers);

}  // namespace mica
