#include "bench/eval/eval_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/file.h"

namespace mica {
namespace {

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

struct Row {
  std::string name;
  Proportion share;
};

// The scores in the order in which they are shown.
std::vector<Row> score_rows(const EvalSummary& summary) {
  if (!summary.ifeval()) return {{"score", summary.score}};
  return {{"prompts, strict", summary.score},
          {"prompts, loose", summary.loose},
          {"instructions, strict", summary.instructions},
          {"instructions, loose", summary.instructions_loose}};
}

struct Note {
  std::string name, value, meaning;
};

std::vector<Note> notes(const EvalSummary& summary) {
  std::vector<Note> out;
  const auto add = [&](const char* name, int64_t count, const char* meaning) {
    if (count > 0) out.push_back({name, fmt::format("{}", count), meaning});
  };
  add("truncated", summary.truncated, "ended within their reasoning; not right");
  add("cut", summary.cut, "ended by the budget of tokens");
  add("failed", summary.failed, "requests; in no score; --retry-failed asks again");
  add("missing", summary.missing, "not asked yet; the same command goes on");
  if (summary.failed > 0) {
    Proportion all = summary.score;
    all.all += summary.failed;
    out.push_back({"with failed", percent(all.value()), "if they counted as not right"});
  }
  const int64_t answered = summary.answered();
  if (answered > 0 && summary.output_tokens > 0) {
    std::string reasoning;
    if (summary.reasoning_tokens > 0)
      reasoning = fmt::format(", of these {} reasoning", summary.reasoning_tokens / answered);
    out.push_back({"tokens", fmt::format("{}", summary.output_tokens / answered),
                   fmt::format("an answer{}; longest {}", reasoning, summary.longest_output)});
  }
  return out;
}

std::string title(const EvalSummary& summary) {
  const EvalHead& head = summary.head;
  std::string text = fmt::format("{} ({}) with {}: {} questions", head.source, head.kind,
                                 head.model, summary.questions);
  if (head.kind == name(QuestionKind::kGsm8k)) text += fmt::format(", {} shots", head.shots);
  return text + fmt::format(", at most {} tokens", head.max_tokens);
}

OrderedJson share_json(const Proportion& share) {
  const Interval interval = wilson_interval(share);
  return {{"right", share.right},
          {"of", share.all},
          {"share", share.value()},
          {"low", interval.low},
          {"high", interval.high}};
}

}  // namespace

EvalSummary summarize_eval(const EvalHead& head, const QuestionSet& set, const EvalRun& run,
                           int64_t questions) {
  EvalSummary summary;
  summary.head = head;
  summary.seconds = run.seconds;
  const auto all = static_cast<int64_t>(set.questions.size());
  summary.questions = questions > 0 ? std::min(questions, all) : all;
  std::map<std::string, EvalGroup> groups;
  for (int64_t i = 0; i < summary.questions; ++i) {
    const auto& record = run.records[static_cast<size_t>(i)];
    if (!record) {
      ++summary.missing;
      continue;
    }
    if (record->outcome == Outcome::kFailed) {
      ++summary.failed;
      continue;
    }
    const bool right = record->outcome == Outcome::kCorrect;
    summary.correct += right;
    summary.wrong += record->outcome == Outcome::kWrong;
    summary.truncated += record->outcome == Outcome::kTruncated;
    summary.cut += record->cut();
    summary.score.add(right);
    summary.loose.add(record->loose);
    const auto add = [&](const std::string& name, bool strict, bool loose) {
      EvalGroup& group = groups[name];
      group.name = name;
      group.strict.add(strict);
      group.loose.add(loose);
    };
    for (const InstructionResult& result : record->instructions) {
      summary.instructions.add(result.strict);
      summary.instructions_loose.add(result.loose);
      add(result.id, result.strict, result.loose);
    }
    if (const std::string& name = set.questions[static_cast<size_t>(i)].group; !name.empty())
      add(name, right, record->loose);
    summary.prompt_tokens += std::max<int64_t>(0, record->prompt_tokens);
    summary.output_tokens += std::max<int64_t>(0, record->completion_tokens);
    summary.reasoning_tokens += std::max<int64_t>(0, record->reasoning_tokens);
    summary.longest_output = std::max(summary.longest_output, record->completion_tokens);
  }
  for (auto& [name, group] : groups) summary.groups.push_back(std::move(group));
  return summary;
}

double earlier_seconds(const std::filesystem::path& summary, const std::string& started) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(summary, ignored)) return 0;
  const auto json =
      OrderedJson::parse(read_text_file(summary), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("eval") || !json["eval"].is_object()) return 0;
  const bool same = json["eval"].value("started", OrderedJson()) == started;
  return same && json.contains("seconds") && json["seconds"].is_number()
             ? json["seconds"].get<double>()
             : 0;
}

OrderedJson summary_json(const EvalSummary& summary) {
  OrderedJson json = {{"schema_version", 1}, {"eval", head_json(summary.head)}};
  json["questions"] = summary.questions;
  json["outcomes"] = {{"correct", summary.correct},     {"wrong", summary.wrong},
                      {"truncated", summary.truncated}, {"failed", summary.failed},
                      {"missing", summary.missing},     {"cut", summary.cut}};
  json["score"] = share_json(summary.score);
  if (summary.ifeval()) {
    json["prompts_loose"] = share_json(summary.loose);
    json["instructions_strict"] = share_json(summary.instructions);
    json["instructions_loose"] = share_json(summary.instructions_loose);
  }
  json["groups"] = OrderedJson::object();
  for (const EvalGroup& group : summary.groups) {
    json["groups"][group.name]["strict"] = share_json(group.strict);
    if (summary.ifeval()) json["groups"][group.name]["loose"] = share_json(group.loose);
  }
  json["tokens"] = {{"prompt", summary.prompt_tokens},
                    {"output", summary.output_tokens},
                    {"reasoning", summary.reasoning_tokens},
                    {"longest_output", summary.longest_output}};
  json["seconds"] = summary.seconds;
  return json;
}

std::string summary_text(const EvalSummary& summary) {
  std::string text = title(summary) + "\n";
  for (const Row& row : score_rows(summary)) {
    const Interval interval = wilson_interval(row.share);
    text +=
        fmt::format("  {:<22}{:>8}   {} to {}   {} of {}\n", row.name, percent(row.share.value()),
                    percent(interval.low), percent(interval.high), row.share.right, row.share.all);
  }
  for (const Note& note : notes(summary))
    text += fmt::format("  {:<22}{:>8}   {}\n", note.name, note.value, note.meaning);
  if (summary.groups.empty()) return text;
  size_t width = 0;
  for (const EvalGroup& group : summary.groups) width = std::max(width, group.name.size());
  text += "\n";
  for (const EvalGroup& group : summary.groups) {
    text += fmt::format("  {:<{}}  {:>8}  {:>4} of {:<4}", group.name, width,
                        percent(group.strict.value()), group.strict.right, group.strict.all);
    if (summary.ifeval()) text += fmt::format("  loose {}", percent(group.loose.value()));
    text += "\n";
  }
  return text;
}

std::string summary_markdown(const EvalSummary& summary) {
  std::string text = "## " + title(summary) + "\n\n";
  text += "| | share | 95 % interval | right | of |\n|---|---:|---:|---:|---:|\n";
  const auto add = [&](const std::string& name, const Proportion& share) {
    const Interval interval = wilson_interval(share);
    text += fmt::format("| {} | {} | {} to {} | {} | {} |\n", name, percent(share.value()),
                        percent(interval.low), percent(interval.high), share.right, share.all);
  };
  for (const Row& row : score_rows(summary)) add(row.name, row.share);
  const std::vector<Note> lines = notes(summary);
  if (!lines.empty()) text += "\n";
  for (const Note& note : lines)
    text += fmt::format("- {}: {} ({})\n", note.name, note.value, note.meaning);
  if (summary.groups.empty()) return text;
  text += "\n| | strict | 95 % interval | right | of |\n|---|---:|---:|---:|---:|\n";
  for (const EvalGroup& group : summary.groups) {
    add(group.name, group.strict);
    if (summary.ifeval() && group.loose != group.strict) add(group.name + ", loose", group.loose);
  }
  return text;
}

}  // namespace mica
