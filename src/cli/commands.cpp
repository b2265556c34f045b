#include "cli/commands.h"

#include <CLI/CLI.hpp>

#include "cli/inspect.h"
#include "cli/pull.h"
#include "cli/synth.h"

namespace mica {

void add_commands(CLI::App& app) {
  add_generate_command(app);
  add_chat_command(app);
  add_serve_command(app);
  add_bench_command(app);
  add_pull_command(app);
  add_inspect_command(app);
  add_synth_command(app);
  add_logits_command(app);
  add_doctor_command(app);
}

}  // namespace mica
