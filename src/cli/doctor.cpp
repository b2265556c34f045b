// mica doctor: what this machine has, what is wrong with it and the command that mends it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "bench/launch/port_holder.h"
#include "checkpoint/hub/hub.h"
#include "cli/commands.h"
#include "doctor/report.h"

namespace mica {
namespace {

bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");  // no-color.org
  return ::isatty(STDOUT_FILENO) == 1 && !(no_colour && *no_colour);
}

// Containers are known already: asking Docker again could take longer than a doctor may.
void find_holders(std::vector<doctor::PortFacts>& ports) {
  for (doctor::PortFacts& port : ports) {
    if (!port.container.empty()) continue;
    const auto holder = port_holder("127.0.0.1", port.number, nullptr);
    if (!holder) continue;
    port.holder = holder->text + (holder->by_mica ? ", which Mica started" : "");
    port.command = how_to_free(*holder);
  }
}

void run_doctor(bool json) {
  doctor::GatherPaths paths;
  paths.cache = hub_options_from_environment().cache;
  doctor::MachineFacts facts = doctor::gather(MICA_VERSION, paths);
  find_holders(facts.ports);
  const doctor::Report report = doctor::examine(facts);
  const std::string text =
      json ? doctor::to_json(facts, report) : doctor::to_text(report, wants_colour());
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (doctor::exit_status(report) != 0)
    throw Error(ErrorKind::kDevice, "[doctor] {} can't be used, see the report",
                report.device.code == gpu::FindingCode::kUsable ? "a GPU" : "'cuda'");
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("doctor", "What this machine has, what is wrong with it, what to do");
  command->add_flag("--json", *json, "One JSON object (docs/doctor.md)");
  command->footer(
      "Takes at most 10 seconds and needs no privileges. Exit status: 0, or 3 when this build is\n"
      "for GPUs and none can be used.");
  command->callback([json] { run_doctor(*json); });
}

}  // namespace mica
