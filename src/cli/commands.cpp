#include "cli/commands.h"

#include <CLI/CLI.hpp>

#include "cli/inspect.h"
#include "cli/pull.h"
#include "cli/synth.h"

namespace mica {

void add_commands(CLI::App& app, const std::vector<std::string>& arguments) {
  add_generate_command(app);
  add_chat_command(app);
  is_serve_of_backend(arguments) ? add_serve_backend_command(app) : add_serve_command(app);
  add_bench_command(app);
  is_eval_of_perplexity(arguments) ? add_eval_perplexity_command(app) : add_eval_command(app);
  add_plan_command(app);
  add_images_command(app);
  add_pull_command(app);
  add_fetch_command(app);
  add_inspect_command(app);
  add_convert_command(app);
  add_synth_command(app);
  add_logits_command(app);
  add_doctor_command(app);
  add_results_command(app);
  add_compare_command(app);
  add_report_command(app);
}

}  // namespace mica
