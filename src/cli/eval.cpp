// mica eval: how good the answers of any engine are, by questions from the user's files.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>

#include "base/file.h"
#include "base/log.h"
#include "bench/client/fetch.h"
#include "bench/eval/eval_summary.h"
#include "bench/launch/first_token.h"
#include "bench/plan/resolver.h"
#include "bench/plan/show.h"
#include "bench/results/store.h"
#include "cli/commands.h"
#include "cli/launch_console.h"
#include "cli/plan_inputs.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultConcurrency = 16, kDefaultTokens = 8192;

struct EvalFlags {
  PlanInputs inputs;
  std::vector<std::string> data;
  std::string kind, output, api_key, docker = "docker";
  QuestionOptions questions;
  std::optional<int64_t> max_tokens, seed;
  std::optional<double> temperature, top_p;
  std::vector<std::string> fields;  // NAME=JSON
  int64_t limit = 0;
  int64_t weight_mib = -1;  // of the model, by its files
  bool retry_failed = false, show_log = false;
  RequestDeadlines deadlines;
};

using Fields = std::vector<std::pair<std::string, std::string>>;

void set_field(Fields& fields, const std::string& name, const std::string& value) {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const auto& field) { return field.first == name; });
  if (found == fields.end())
    fields.emplace_back(name, value);
  else
    found->second = value;
}

// Those of the models file, then those of the command line; greedy where nobody says otherwise.
Fields fields_of(const EvalFlags& flags, const LaunchPlan& plan) {
  Fields fields = {{"temperature", "0"}};
  for (const PlanVariable& field : plan.sampling)
    if (field.name != "max_tokens") set_field(fields, field.name, field.value);
  if (flags.temperature) set_field(fields, "temperature", fmt::format("{}", *flags.temperature));
  if (flags.top_p) set_field(fields, "top_p", fmt::format("{}", *flags.top_p));
  for (const std::string& text : flags.fields) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error(ErrorKind::kUsage, "[eval] --field: expected NAME=JSON, found '{}'", text);
    const std::string name = text.substr(0, equals);
    set_field(fields, name,
              dump(parse_document(text.substr(equals + 1), "--field " + name, "eval")));
  }
  return fields;
}

// The budget: of the command line, else the model's in the models file.
int64_t max_tokens_of(const EvalFlags& flags, const LaunchPlan& plan) {
  if (flags.max_tokens) return *flags.max_tokens;
  for (const PlanVariable& field : plan.sampling)
    if (field.name == "max_tokens") {
      const OrderedJson json = parse_document(field.value, field.origin.text, "eval");
      const JsonNode node(json, field.origin.text + ": max_tokens", "eval");
      if (node.integer() < 1) node.wrong("a number from 1");
      return node.integer();
    }
  return kDefaultTokens;
}

// What every server of OpenAI's API understands; for one that no descriptor knows.
constexpr std::string_view kPlainServer = R"(
name: openai
title: A server of OpenAI's API
source: its list of models names no engine
formats: [mlx, safetensors, gguf, exl3]
names_model: argument
settings: {model: {words: ["{}"]}, host: {words: ["{}"]}, port: {words: ["{}"]}}
probes: {models: /v1/models}
dialect:
  seed: true
  stream_usage: true
  unknown_fields: false
  sampling: [temperature, top_p, frequency_penalty, presence_penalty]
)";

// What a running server says of itself: the engine by the text that identifies it, and the model,
// where it has only one.
void ask_server(PlanRequest& wanted, const std::string& key, BackendTable& table) {
  std::string url = wanted.url;
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  const std::string place = url + "/v1/models";
  const RequestSample record = fetch({.url = url, .api_key = key}, "GET", "/v1/models");
  if (!record.ok()) {
    if (!wanted.backend.empty() && !wanted.model.empty()) return;  // the launch says what is wrong
    throw Error(ErrorKind::kBackend,
                "[eval] {}: {} {}; is the server's address right? Else give {}", place,
                name(record.status), record.error, "the model's name and --backend");
  }
  if (wanted.backend.empty()) {
    for (const BackendDescriptor& backend : table.all())
      if (wanted.backend.empty() && !backend.probes.identity.empty() &&
          record.body.find(backend.probes.identity) != std::string::npos)
        wanted.backend = backend.name;
    if (wanted.backend.empty()) {
      table.add(parse_descriptor(kPlainServer, "a server of OpenAI's API"));
      wanted.backend = "openai";
    }
    log_info("[eval] {} is {}", url, table.get(wanted.backend).title);
  }
  if (wanted.settings.contains("served_name")) {
    if (wanted.model.empty()) wanted.model = wanted.settings["served_name"];
    return;
  }
  std::vector<std::string> ids;
  const OrderedJson json = parse_document(record.body, place, "eval");
  for (const JsonNode& each : JsonNode(json, place, "eval").at("data").items())
    ids.push_back(each.at("id").text());
  if (ids.size() == 1) {
    wanted.settings["served_name"] = ids.front();
    if (wanted.model.empty()) wanted.model = ids.front();
  } else if (wanted.model.empty()) {
    throw Error(ErrorKind::kUsage, "[eval] {} has {} models; give the name of one{}", url,
                ids.size(), ids.empty() ? "" : ", as " + ids.front());
  }
}

LaunchPlan resolve(EvalFlags& flags) {
  PlanRequest& wanted = flags.inputs.request;
  if (wanted.url.empty() && wanted.model.empty())
    throw Error(ErrorKind::kUsage, "[eval] which model? Give it, or the --url of a running server");
  BackendTable table = backend_table(flags.inputs);
  if (!wanted.url.empty()) ask_server(wanted, flags.api_key, table);
  wanted.settings.emplace("concurrency", std::to_string(kDefaultConcurrency));
  const ModelsFile models = models_file(flags.inputs, table);
  const PlanFacts facts = wanted.url.empty() ? plan_facts(flags.inputs) : PlanFacts{};
  const PlanRequest request = plan_request(flags.inputs);
  ResolvedPlan resolved = resolve_plan(request, table, models, facts);
  LaunchPlan& plan = resolved.plan;
  if (const auto fit = fit_plan(resolved, table.get(plan.backend), facts, request.gpus))
    flags.weight_mib = static_cast<int64_t>(fit->weights >> 20);
  for (const std::string& warning : plan.warnings) log_warning("[eval] {}", warning);
  return plan;
}

std::vector<QuestionSet> read_sets(const EvalFlags& flags) {
  QuestionOptions options = flags.questions;
  for (const QuestionKind kind :
       {QuestionKind::kGsm8k, QuestionKind::kIfeval, QuestionKind::kGeneric})
    if (flags.kind == name(kind)) options.kind = kind;
  std::vector<QuestionSet> sets;
  std::set<std::string> stems;
  for (const std::string& path : flags.data) {
    sets.push_back(read_questions(path, options));
    if (!stems.insert(fs::path(path).stem().string()).second)
      throw Error(ErrorKind::kUsage, "[eval] --data: two files are named {}",
                  fs::path(path).stem().string());
  }
  return sets;
}

// "vllm-org-name": a folder for what one model said.
fs::path output_folder(const EvalFlags& flags, const LaunchPlan& plan) {
  if (!flags.output.empty()) return flags.output;
  std::string folder = plan.backend + "-" + plan.served_name.value;
  for (char& c : folder)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '_') c = '-';
  return default_results_folder() / "evals" / folder;
}

std::function<void(const EvalProgress&)> progress_to_log() {
  using Clock = std::chrono::steady_clock;
  return [next = Clock::now() + std::chrono::seconds(2)](const EvalProgress& progress) mutable {
    if (Clock::now() < next) return;
    next = Clock::now() + std::chrono::seconds(10);
    log_info("[eval] {} of {} questions: {} correct, {} truncated, {} failed", progress.ended,
             progress.questions, progress.correct, progress.truncated, progress.failed);
  };
}

class Evals {
 public:
  Evals(const EvalFlags& flags, const LaunchPlan& plan, const Interrupts& interrupts)
      : flags_(flags), plan_(plan), interrupts_(interrupts), folder_(output_folder(flags, plan)) {
    target_ = {plan.url, plan.dialect, plan.served_name.value};
    options_.concurrency =
        static_cast<int32_t>(std::stol(flags.inputs.request.settings.at("concurrency")));
    options_.max_tokens = max_tokens_of(flags, plan);
    options_.fields = fields_of(flags, plan);
    options_.seed = flags.seed;
    options_.limit = flags.limit;
    options_.retry_failed = flags.retry_failed;
    options_.deadlines = flags.deadlines;
  }

  // False: interrupted, or requests failed.
  bool run(const QuestionSet& set) {
    EvalHead head = head_of(set);
    const fs::path stem = folder_ / fs::path(set.source).stem();
    EvalFile file(stem.string() + ".jsonl", head);
    if (!file.records().empty())
      log_info("[eval] {}: {} questions were answered before", file.path().string(),
               file.records().size());
    Client client({.url = plan_.url, .api_key = flags_.api_key});
    const std::stop_callback stop(interrupts_.token(), [&client] { client.stop(); });
    const EvalRun run = run_eval(client, target_, set, options_, file, progress_to_log());
    for (const std::string& field : run.left_out)
      log_warning("[eval] {} takes no field '{}': it was left out", plan_.backend, field);
    head.started = file.started();
    EvalSummary summary = summarize_eval(head, set, run, options_.limit);
    const std::string summary_path = stem.string() + ".summary.json";
    summary.seconds += earlier_seconds(summary_path, head.started);
    write_text_file(summary_path, summary_json(summary).dump(2) + "\n");
    write_text_file(stem.string() + ".summary.md", summary_markdown(summary));
    std::printf("%s  %s\n\n", summary_text(summary).c_str(), file.path().c_str());
    std::fflush(stdout);
    return summary.complete();
  }

 private:
  EvalHead head_of(const QuestionSet& set) const {
    EvalHead head;
    head.kind = name(set.kind);
    head.source = set.source;
    head.questions_hash = set.hash;
    head.questions = static_cast<int64_t>(set.questions.size());
    head.model = target_.model;
    head.shots = set.kind == QuestionKind::kGsm8k ? flags_.questions.shots : 0;
    head.system = flags_.questions.system;
    head.max_tokens = options_.max_tokens;
    head.fields = options_.fields;
    if (options_.seed) head.fields.emplace_back("seed", std::to_string(*options_.seed));
    head.backend = plan_.backend;
    head.url = plan_.url;
    head.started = utc_now();
    head.mica_version = MICA_VERSION;
    return head;
  }

  const EvalFlags& flags_;
  const LaunchPlan& plan_;
  const Interrupts& interrupts_;
  fs::path folder_;
  EvalTarget target_;
  EvalOptions options_;
};

LaunchOptions launch_options(const EvalFlags& flags, const LaunchPlan& plan,
                             const Interrupts& interrupts) {
  LaunchOptions options = console_launch_options(plan.backend, flags.show_log, interrupts.token());
  options.docker = flags.docker;
  options.key = flags.api_key;
  options.gpu.weight_mib = flags.weight_mib;
  options.first_token = client_first_token(flags.api_key);
  return options;
}

void stop_engine(RunningEngine& engine) {
  for (const std::string& left : engine.stop().left)
    log_error("[eval] could not be stopped: {}", left);
}

void run(EvalFlags& flags) {
  const std::vector<QuestionSet> sets = read_sets(flags);
  const Interrupts interrupts;
  const LaunchPlan plan = resolve(flags);
  Evals evals(flags, plan, interrupts);
  recover_launches();
  if (plan.mode != LaunchMode::kAttach) log_info("[eval] {}", shell_command(plan));
  RunningEngine engine = launch_engine(plan, launch_options(flags, plan, interrupts));
  for (const std::string& warning : engine.warnings()) log_warning("[eval] {}", warning);
  bool complete = true;
  try {
    for (const QuestionSet& set : sets)
      if (!interrupts.requested()) complete = evals.run(set) && complete;
  } catch (const Error& error) {
    // A dead engine says more than its requests.
    if (error.kind() == ErrorKind::kBackend)
      if (const auto failure = engine.failure()) throw LaunchError(*failure);
    throw;
  }
  if (const GpuVerdict verdict = engine.verdict(); !verdict.good())
    log_warning("[eval] {}", describe(verdict));
  stop_engine(engine);
  if (interrupts.requested()) {
    log_warning("[eval] interrupted; the same command goes on");
    throw Ending{kInterruptedStatus};
  }
  if (!complete)
    throw Error(ErrorKind::kMeasurement,
                "[eval] not all questions were answered; --retry-failed asks again");
}

void add_question_flags(CLI::App& command, EvalFlags& flags) {
  command
      .add_option("--data", flags.data,
                  "File of questions, JSON lines: GSM8K, IFEval or the generic form; repeatable")
      ->required()
      ->allow_extra_args(false);
  command.add_option("--kind", flags.kind, "gsm8k, ifeval or generic (default: by the first line)")
      ->check(CLI::IsMember({"gsm8k", "ifeval", "generic"}));
  command
      .add_option("--shots", flags.questions.shots, "Worked examples before each GSM8K question")
      ->check(CLI::Range(0, 3))
      ->capture_default_str();
  command.add_option("--system", flags.questions.system, "A system message before all questions");
  command.add_option("--limit", flags.limit, "The first so many questions of each file")
      ->check(CLI::PositiveNumber);
}

void add_request_flags(CLI::App& command, EvalFlags& flags) {
  command
      .add_option("--max-tokens", flags.max_tokens,
                  "Of an answer with its reasoning (default: the model's in the models file, else "
                  "8192)")
      ->check(CLI::PositiveNumber);
  command.add_option("--temp,--temperature", flags.temperature,
                     "Temperature (default: the models file's, else 0)");
  command.add_option("--top-p", flags.top_p, "Nucleus");
  command.add_option("--seed", flags.seed, "Of sampling, where the backend has one");
  command
      .add_option("--field", flags.fields,
                  "A further field of each request, NAME=JSON, as "
                  "chat_template_kwargs='{\"enable_thinking\": false}'; repeatable")
      ->allow_extra_args(false);
  command.add_option("--api-key", flags.api_key, "Bearer token of the engine");
  command.add_option("--timeout", flags.deadlines.total, "Seconds for an answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--first-token-timeout", flags.deadlines.first_token,
                  "Seconds for its first token, 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_flag("--retry-failed", flags.retry_failed,
                   "Ask the questions again whose requests failed in an earlier run");
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();  // lives as long as the callback
  CLI::App* command =
      app.add_subcommand("eval", "How good an engine's answers are, by questions from your files");
  add_question_flags(*command, *flags);
  add_request_flags(*command, *flags);
  command->add_option("-o,--output", flags->output,
                      "Folder of answers and summaries (default: evals/BACKEND-MODEL beside the "
                      "results); an eval that is there goes on");
  command->add_flag("--show-log", flags->show_log, "Print the engine's log");
  command->add_option("--docker", flags->docker, "Docker's program")->capture_default_str();
  add_plan_flags(*command, flags->inputs);
  command->footer(
      "MODEL is started with --backend, or asked at --url. Perplexity and divergence of models:\n"
      "`mica eval --perplexity FILE --help`. docs/eval.md explains the scores.\n"
      "Exit status: 0 all answered; 2 usage; 3 the GPU; 4 the checkpoint; 5 the engine did not "
      "start\nor died; 6 questions without an answer; 130 interrupted.");
  command->callback([flags] { run(*flags); });
}

}  // namespace mica
