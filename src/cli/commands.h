// The list of commands; each `add_…` declares its flags and runs through the parser's callback.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mica {

// Thrown by a command that has said all there is to say: the program ends with this status.
struct Ending {
  int status = 0;
};
inline constexpr int kInterruptedStatus = 130;  // the user ended it

// `arguments` of the program: `serve` has other flags for another backend than Mica itself, `eval`
// for a model of this process.
void add_commands(CLI::App& app, const std::vector<std::string>& arguments);  // cli/commands.cpp

void add_generate_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_serve_command(CLI::App& app);
void add_serve_backend_command(CLI::App& app);
bool is_serve_of_backend(const std::vector<std::string>& arguments);
void add_bench_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_eval_perplexity_command(CLI::App& app);
bool is_eval_of_perplexity(const std::vector<std::string>& arguments);
void add_logits_command(CLI::App& app);
void add_fetch_command(CLI::App& app);
void add_doctor_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_images_command(CLI::App& app);
void add_results_command(CLI::App& app);
void add_results_push_command(CLI::App& results);
void add_compare_command(CLI::App& app);
void add_report_command(CLI::App& app);

}  // namespace mica
