// mica results push: figures of kept runs to a Pushgateway or to a receiver of OTLP.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "bench/client/fetch.h"
#include "bench/client/url.h"
#include "bench/report/export_metrics.h"
#include "cli/commands.h"
#include "cli/results_folder.h"

namespace mica {
namespace {

struct PushFlags {
  std::string folder, pushgateway, otlp;
  std::vector<std::string> runs;
  RunFilter filter;
};

constexpr double kSeconds = 30;  // for one run

// The answer's body.
std::string send(const std::string& url, const std::string& method, const std::string& path,
                 const RunRecord& run, const std::string& body, const std::string& content_type) {
  const RequestSample answer = fetch({.url = url}, method, path, body, kSeconds, content_type);
  if (answer.ok()) return answer.body;
  const std::string status =
      answer.http_status > 0 ? fmt::format("{} ", answer.http_status) : std::string();
  throw Error(ErrorKind::kNetwork,
              "[results] {} {}{}: run {} was not taken: expected status 2xx, found {}{}; is the "
              "address right? It stands before {}",
              method, url, path, run.id, status, answer.error, path);
}

void push(const PushFlags& flags) {
  if (flags.pushgateway.empty() && flags.otlp.empty())
    throw Error(ErrorKind::kUsage, "[results] push: expected --pushgateway URL or --otlp URL");
  for (const std::string* url : {&flags.pushgateway, &flags.otlp})
    if (!url->empty()) parse_url(*url);  // before anything is sent
  ResultStore store = open_results(flags.folder);
  for (const RunRecord& run : chosen_runs(store, flags.runs, flags.filter)) {
    if (!flags.pushgateway.empty())
      send(flags.pushgateway, "PUT", pushgateway_path(run.id), run, exposition_text(run),
           kExpositionType);
    if (!flags.otlp.empty()) {
      const std::string answer =
          send(flags.otlp, "POST", "/v1/metrics", run, otlp_json(run), "application/json");
      if (const std::string refused = otlp_refusal(answer); !refused.empty())
        throw Error(ErrorKind::kNetwork, "[results] {}/v1/metrics: run {}: it left out {}",
                    flags.otlp, run.id, refused);
    }
    std::printf("%s\n", run.id.c_str());
    std::fflush(stdout);
  }
}

}  // namespace

void add_results_push_command(CLI::App& results) {
  auto flags = std::make_shared<PushFlags>();
  CLI::App* command = results.add_subcommand(
      "push", "Send figures of runs to a Prometheus Pushgateway or by OTLP; no prompts or answers");
  add_runs_flag(*command, flags->runs);
  add_results_flag(*command, flags->folder);
  command->add_option("--pushgateway", flags->pushgateway,
                      "Its address: http://host:9091; each run is a group and replaces itself");
  command->add_option("--otlp", flags->otlp,
                      "Address of a receiver of OTLP/HTTP, before /v1/metrics: http://host:4318");
  add_filter_flags(*command, flags->filter);
  command->footer(
      "Prints the id of each run that was taken. Ends with status 4 at the first that was not.");
  command->callback([flags] { push(*flags); });
}

}  // namespace mica
