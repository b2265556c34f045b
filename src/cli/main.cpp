// mica: one program, one file a command.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/usage_error.h"

namespace {

int run(int argc, char** argv) {
  CLI::App app{
      "Mica runs MLX-format language models on CPUs and NVIDIA GPUs, serves and measures them."};
  app.name("mica");
  app.set_version_flag("--version", "mica " MICA_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  std::string log_level = "info";
  app.add_option("--log-level", log_level, "debug, info, warning, error")
      ->transform(CLI::IsMember({"debug", "info", "warning", "error"}, CLI::ignore_case))
      ->each([](const std::string& level) {
        using mica::LogLevel;
        mica::set_log_level(level == "debug"     ? LogLevel::kDebug
                            : level == "warning" ? LogLevel::kWarning
                            : level == "error"   ? LogLevel::kError
                                                 : LogLevel::kInfo);
      });
  const std::vector<std::string> given(argv + 1, argv + argc);
  mica::add_commands(app, given);
  try {
    std::vector<std::string> arguments = mica::with_config_file(app, given);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    // Help and version end with 0; every wrong flag with 2.
    const int wrong = mica::exit_status(mica::ErrorKind::kUsage);
    if (error.get_exit_code() == 0) return app.exit(error);
    if (const std::string unknown = mica::unknown_words(app, given); !unknown.empty()) {
      std::fprintf(stderr, "mica: %s\nRun with --help for what there is.\n", unknown.c_str());
      return wrong;
    }
    app.exit(error);
    return wrong;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const mica::Ending& ending) {
    return ending.status;
  } catch (const mica::Error& error) {
    std::fprintf(stderr, "mica: %s\n", error.what());
    return mica::exit_status(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mica: internal error: %s\nThis is a fault of Mica; please report it.\n",
                 error.what());
    return mica::exit_status(mica::ErrorKind::kInternal);
  }
}
