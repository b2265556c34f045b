#include "cli/bench_backends.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/spelling.h"
#include "bench/load/picture.h"
#include "bench/load/prompt_sets.h"
#include "bench/results/provenance.h"
#include "bench/results/store.h"
#include "bench/run/live_view.h"
#include "bench/run/matrix.h"
#include "cli/bench_cells.h"

namespace mica {

struct BenchBackendsFlags {
  CellInputs cells;
  std::vector<int64_t> input_tokens = {512}, output_tokens = {128};
  std::vector<std::string> arrivals = {"closed:1"};
  std::vector<std::string> prompts, images;
  std::vector<int32_t> depths = {0};
  std::string dataset, prompt_set, system, limits, group, results, precise;
  int64_t requests = 0, shared_tokens = 0, limit_items = 0, check_tokens = kCheckTokens;
  int32_t turns = 1, shared_groups = 1, rounds = 1, warm_up_rounds = 5;
  double seconds = 0, minutes = 0, spread = 0, timeout = 3600, first_token = 300;
  uint64_t seed = 0;
  std::string docker = "docker";
  bool warm_up_failures_ok = false;
  bool rebuild = false, show_log = false;
  bool text = false, warm_cache = false, sweep = false, no_output_check = false, natural = false,
       private_texts = false;
};

namespace {

ArrivalOptions arrivals_of(const std::string& text) {
  return parse_arrivals(text.find(':') == text.npos ? "closed:" + text : text);
}

// Engines differ in what they do by themselves: one slot, four, hundreds.
CellNeeds needs_of(const BenchBackendsFlags& flags) {
  const int64_t kLeast = std::max<int64_t>(1024, 256 + kThinkingFactor * flags.check_tokens);
  constexpr int64_t kSpare = 64;  // the output check's prompts fit as well
  CellNeeds needs;
  int32_t most = 1;
  for (const std::string& text : flags.arrivals)
    most = std::max(most, arrivals_of(text).concurrency);
  if (most > 1 && !flags.sweep) needs.concurrency = most;
  if (!flags.prompts.empty() || !flags.dataset.empty() || flags.turns > 1) return needs;
  int64_t input = *std::ranges::max_element(flags.input_tokens);
  if (!flags.prompt_set.empty())
    for (const DatasetItem& item :
         prompt_set(flags.prompt_set, static_cast<size_t>(flags.limit_items)))
      input = std::max(input, item.input_tokens);
  needs.longest = input + *std::ranges::max_element(flags.depths) +
                  *std::ranges::max_element(flags.output_tokens);
  needs.context = std::max(kLeast, needs.longest + kSpare);
  return needs;
}

// Pictures by their sources, each read and encoded once.
class Pictures {
 public:
  std::vector<std::string> urls(const std::vector<std::string>& sources) {
    std::vector<std::string> urls;
    for (const std::string& source : sources) {
      const auto [at, added] = places_.try_emplace(source, all_.size());
      if (added) all_.push_back(read_picture(source));
      urls.push_back(all_[at->second].url);
    }
    return urls;
  }
  const std::vector<Picture>& all() const { return all_; }

 private:
  std::map<std::string, size_t> places_;
  std::vector<Picture> all_;
};

// What is wrong with the work is said before an engine is started.
void check_points(const std::vector<BenchPoint>& points,
                  const std::vector<MatrixBackend>& backends) {
  for (const BenchPoint& point : points) {
    if (point.workload.depth > 0 && point.arrivals.kind != ArrivalOptions::Kind::kClosed)
      throw Error(ErrorKind::kUsage,
                  "[bench] --depth: expected a number of requests in flight, found {}: when a "
                  "request is sent depends on the one that fills the cache",
                  to_string(point.arrivals));
    std::set<const TextModel*>
        texts;  // backends of one model share it, and looking through it costs
    for (const MatrixBackend& backend : backends)
      if (texts.insert(backend.text).second)
        (void)Workload(point.workload, backend.text,
                       point.items ? *point.items : std::vector<DatasetItem>())
            .conversation(0);
  }
}

std::vector<BenchPoint> points_of(const BenchBackendsFlags& flags) {
  std::vector<BenchPoint> workloads;
  const int sources = !flags.prompts.empty() + !flags.dataset.empty() + !flags.prompt_set.empty();
  if (sources > 1)
    throw Error(ErrorKind::kUsage,
                "[bench] expected one of --prompt, --prompt-set and --dataset, found {} of them",
                sources);
  const bool made = sources == 0;
  Pictures pictures;
  BenchPoint point;
  point.requests = flags.requests;
  point.seconds = flags.seconds;
  point.workload = {.chat = !flags.text,
                    .spread = flags.spread,
                    .turns = flags.turns,
                    .shared_tokens = flags.shared_tokens,
                    .shared_groups = flags.shared_groups,
                    .system = flags.system,
                    .prompts = flags.prompts,
                    .images = pictures.urls(flags.images),
                    .warm_cache = flags.warm_cache,
                    .natural = flags.natural,
                    .seed = flags.seed};
  if (!made && flags.prompts.empty()) {
    const auto limit = static_cast<size_t>(flags.limit_items);
    auto items = flags.dataset.empty() ? prompt_set(flags.prompt_set, limit)
                                       : read_dataset(flags.dataset, limit);
    for (DatasetItem& item : items) item.images = pictures.urls(item.images);
    point.items = std::make_shared<const std::vector<DatasetItem>>(std::move(items));
    point.items_name =
        flags.dataset.empty()
            ? fmt::format("set {}", std::filesystem::path(flags.prompt_set).filename().string())
            : std::filesystem::path(flags.dataset).filename().string();
  }
  point.pictures = pictures.all();
  for (const int32_t depth : flags.depths)
    for (const int64_t input : flags.input_tokens) {
      for (const int64_t output : flags.output_tokens) {
        point.workload.depth = depth;
        point.workload.input_tokens = input;
        point.workload.output_tokens = output;
        workloads.push_back(point);
      }
      if (!made) break;  // lengths of inputs are the texts' own
    }
  std::vector<ArrivalOptions> arrivals;
  for (const std::string& text : flags.arrivals) {
    arrivals.push_back(arrivals_of(text));
    arrivals.back().seed = flags.seed;
  }
  return grid(workloads, arrivals);
}

double parse_share(const std::string& text, const char* flag) {
  char* end = nullptr;
  const double percent = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  if (end == text.c_str() || (!unit.empty() && unit != "%") || !(percent > 0) || percent > 50)
    throw Error(ErrorKind::kUsage, "[bench] {}: expected a percentage such as 2%, found '{}'", flag,
                text);
  return percent / 100;
}

// Ctrl-C ends the run well: what was measured is kept, what was started is stopped.
class InterruptWatch {
 public:
  InterruptWatch() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    thread_ = std::jthread([this](const std::stop_token& end) {
      while (!end.stop_requested()) {
        const timespec patience{0, 200'000'000};
        if (sigtimedwait(&signals_, nullptr, &patience) < 0) continue;
        if (source_.stop_requested()) std::_Exit(130);  // asked twice
        log_warning("[bench] interrupted: ending what runs; once more to leave at once");
        source_.request_stop();
      }
    });
  }
  ~InterruptWatch() {
    thread_.request_stop();
    thread_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_, before_;
  std::stop_source source_;
  std::jthread thread_;
};

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void print_report(const MatrixReport& report, ResultStore& store) {
  std::printf("%s in %s", counted(static_cast<int64_t>(report.runs.size()), "run").c_str(),
              store.folder().c_str());
  if (report.reused) std::printf(", %ld of them measured before", static_cast<long>(report.reused));
  std::printf("\n");
  for (const std::string& id : report.runs)
    std::printf("%s  %s\n", id.c_str(), one_line(store.load(id)).c_str());
  for (const MatrixSweep& sweep : report.sweeps) std::printf("%s\n", describe(sweep).c_str());
  for (const std::string& remark : report.remarks) std::printf("%s\n", remark.c_str());
  if (report.left)
    std::printf("%ld points were left: the time was over. The same command goes on with them.\n",
                static_cast<long>(report.left));
  for (const MatrixReport::Problem& problem : report.problems)
    std::printf("%s failed: %s\n", problem.backend.c_str(), problem.text.c_str());
}

}  // namespace

std::shared_ptr<BenchBackendsFlags> add_bench_backends_flags(CLI::App& command) {
  auto flags = std::make_shared<BenchBackendsFlags>();  // lives as long as the callback
  const auto option = [&](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help)->group(kServersGroup);
  };
  const auto list = [&](const char* name, auto& value, const char* help) {
    return option(name, value, help)->delimiter(',');
  };
  list("--backend", flags->cells.backends,
       "Engines: mica, mlx-lm, vllm, sglang, llamacpp, trtllm, exllamav3, ktransformers; "
       "NAME:MODEL where one has the weights in another file");
  option("--url", flags->cells.urls, "BACKEND=URL of a running server; repeatable")
      ->allow_extra_args(false);
  list("--input-tokens", flags->input_tokens, "Tokens of prompts, a chat template's included")
      ->capture_default_str();
  list("--output-tokens", flags->output_tokens, "Tokens of answers")->capture_default_str();
  list("--concurrency,--arrivals", flags->arrivals,
       "Requests in flight, as 1,8,64; or closed:N, constant:RATE, poisson:RATE, "
       "gamma:RATE:BURSTINESS, RATE as 1-10 for a ramp")
      ->capture_default_str();
  option("--requests", flags->requests, "Of a point (default: ten times the concurrency)")
      ->check(CLI::PositiveNumber);
  option("--seconds", flags->seconds, "No request of a point begins later")
      ->check(CLI::PositiveNumber);
  option("--minutes", flags->minutes, "No point begins later")->check(CLI::PositiveNumber);
  option("--rounds", flags->rounds, "Starts of each engine, in turn, every other one backwards")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  option("--prompt", flags->prompts, "A prompt of your own; repeatable")->allow_extra_args(false);
  option("--prompt-set", flags->prompt_set,
         "Built-in prompts: text, vision or long-context; or a file of JSON lines");
  option("--dataset", flags->dataset, "JSON lines, ShareGPT, BurstGPT or Mooncake file")
      ->check(CLI::ExistingFile);
  option("--dataset-limit", flags->limit_items, "Take its first requests only")
      ->check(CLI::PositiveNumber);
  option("--picture", flags->images,
         "Image for each request: a file, a URL, or the built-in 'example'; repeatable")
      ->allow_extra_args(false);
  option("--system", flags->system, "System prompt");
  option("--turns", flags->turns, "Of each conversation")->check(CLI::Range(1, 1000));
  option("--shared-prefix", flags->shared_tokens, "Tokens that prompts of a group begin with")
      ->check(CLI::NonNegativeNumber);
  option("--shared-groups", flags->shared_groups, "Groups of prompts with the same beginning")
      ->check(CLI::PositiveNumber);
  option("--spread", flags->spread, "Lengths vary by this share downwards, 0 to below 1");
  option("--load-seed", flags->seed, "Of texts, lengths and arrivals");
  option("--limits", flags->limits,
         "For goodput: ttft:2000,tpot:100,e2e:30000 in ms, or a preset as llama-3.1-8b");
  option("--precise", flags->precise, "End a point when its median is known to, say, 2%");
  option("--warm-up-rounds", flags->warm_up_rounds, "At most, until times stay the same")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      .add_flag("--warm-up-failures-ok", flags->warm_up_failures_ok,
                "Measure although warm-up requests failed, as long as some succeed")
      ->group(kServersGroup);
  option("--check-tokens", flags->check_tokens,
         "Of answers of the output check; models that think get 8 times as many")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  option("--timeout", flags->timeout, "Seconds of a request")->check(CLI::PositiveNumber);
  option("--first-token-timeout", flags->first_token, "Seconds until a request's first token")
      ->check(CLI::PositiveNumber);
  option("--group", flags->group, "Name of the matrix: the same again goes on where it ended");
  option("--results", flags->results, "Folder (default: ~/.local/share/mica/results)");
  command.add_flag("--text", flags->text, "Plain completions in place of chats")
      ->group(kServersGroup);
  command
      .add_flag("--natural", flags->natural,
                "Answers end where the model ends them, at most --output-tokens")
      ->group(kServersGroup);
  command
      .add_flag("--private", flags->private_texts,
                "Keep no text of prompts and answers: hashes, lengths and times alone")
      ->group(kServersGroup);
  command.add_flag("--warm-cache", flags->warm_cache, "The same prompts again: measures the cache")
      ->group(kServersGroup);
  command.add_flag("--sweep", flags->sweep, "Then twice the concurrency until it brings nothing")
      ->group(kServersGroup);
  command.add_flag("--no-output-check", flags->no_output_check, "Don't compare greedy answers")
      ->group(kServersGroup);
  command.option_defaults()->group(kLaunchGroup);
  add_shared_plan_flags(command, flags->cells.plan);
  const auto each = [&](const char* name, std::vector<std::string>& values, const char* help) {
    return command.add_option(name, values, help)->allow_extra_args(false);
  };
  each("--port", flags->cells.ports, "Port to listen on (default: the backend's), or BACKEND=PORT");
  each("--image", flags->cells.images, "Docker image, or BACKEND=IMAGE");
  each("--backend-version", flags->cells.versions,
       "Version, in the image's tag, or BACKEND=VERSION");
  each("--api-key", flags->cells.keys, "Key of a running server, or BACKEND=KEY")
      ->envname("MICA_API_KEY");
  command.add_option("--docker", flags->docker, "Docker's program")->capture_default_str();
  command.add_flag("--rebuild", flags->rebuild, "Pull or build the image again");
  command.add_flag("--show-log", flags->show_log, "Lines of the engines' logs");
  command.option_defaults()->group("Options");
  return flags;
}

bool names_backends(const BenchBackendsFlags& flags) {
  return !flags.cells.backends.empty();
}

int run_bench_backends(BenchBackendsFlags& flags, const std::string& model, int32_t kv_bits,
                       const std::vector<int32_t>& depths) {
  if (!depths.empty()) flags.depths = depths;
  flags.cells.models = model;
  if (kv_bits != 0) flags.cells.plan.request.settings["kv_bits"] = std::to_string(kv_bits);
  recover_launches();
  ResultStore store(flags.results.empty() ? default_results_folder()
                                          : std::filesystem::path(flags.results));
  for (const RecoveredRun& run : store.recover())
    log_warning("[bench] {}: {} requests of an interrupted run were kept", run.id, run.requests);

  CellTexts texts;
  const std::vector<MatrixBackend> backends = resolve_cells(flags.cells, needs_of(flags), texts);
  const std::vector<BenchPoint> points = points_of(flags);
  check_points(points, backends);
  InterruptWatch interrupt;
  MatrixOptions options;
  options.group = flags.group.empty() ? utc_now() : flags.group;
  options.rounds = flags.rounds;
  options.minutes = flags.minutes;
  options.check_outputs = !flags.no_output_check;
  options.check_tokens = flags.check_tokens;
  options.sweep = flags.sweep;
  options.measure.private_texts = flags.private_texts;
  options.measure.warm_up = {flags.warm_up_rounds, flags.warm_up_failures_ok};
  options.measure.deadlines.total = flags.timeout;
  options.measure.deadlines.first_token = flags.first_token;
  if (!flags.limits.empty()) options.measure.limits = parse_limits(flags.limits);
  if (!flags.precise.empty()) {
    options.measure.precise = true;
    options.measure.precision.precision = parse_share(flags.precise, "--precise");
  }
  options.launch.interrupt = interrupt.token();
  options.launch.docker = flags.docker;
  options.launch.rebuild = flags.rebuild;
  options.provenance = gather_provenance(MICA_VERSION);

  MatrixReport report;
  {
    LiveView view({.terminal = isatty(STDERR_FILENO) == 1,
                   .show_log = flags.show_log,
                   .width = terminal_width(),
                   .write = [](const std::string& text) { std::fputs(text.c_str(), stderr); },
                   .runs = flags.sweep ? 0
                                       : static_cast<int64_t>(points.size() * backends.size()) *
                                             flags.rounds});
    report = run_matrix(backends, points, store, options,
                        [&](const MatrixProgress& progress) { view.take(progress); });
  }
  print_report(report, store);
  return report.exit_status();
}

}  // namespace mica
