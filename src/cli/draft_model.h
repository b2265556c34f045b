// Flags of speculation (docs/speculation.md), and the draft model that they name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/load.h"
#include "engine/engine.h"

namespace mica {

struct SpeculationFlags {
  std::string draft_model;  // folder or repository id; "" = none
  SpeculationOptions options;
};

// --draft-model, --num-draft-tokens, --ngram-speculation.
void add_speculation_flags(CLI::App& command, SpeculationFlags& flags);

struct DraftModel {
  std::unique_ptr<Model> model;  // null: none was asked for
  SpeculationOptions options;    // for EngineOptions
};

// Loads the draft model on the backend of `target`, before the engine, which it outlives; the
// backend outlives it. Throws Error(kUsage) when one of the two generates no text, or they don't
// have the same tokens.
DraftModel load_draft_model(const SpeculationFlags& flags, const ModelFlags& target_flags,
                            const LoadedModel& target);

}  // namespace mica
