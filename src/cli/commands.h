// The list of commands; each `add_…` declares its flags and runs through the parser's callback.
#pragma once

namespace CLI {
class App;
}

namespace mica {

void add_commands(CLI::App& app);  // cli/commands.cpp

void add_generate_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_serve_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_logits_command(CLI::App& app);
void add_doctor_command(CLI::App& app);

}  // namespace mica
