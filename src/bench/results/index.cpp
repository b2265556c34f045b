#include "bench/results/index.h"

#include "base/error.h"
#include "bench/statistics/metric.h"

namespace mica {
namespace {

constexpr int kIndexVersion = 1;  // of the tables, in PRAGMA user_version

constexpr const char* kTables = R"sql(
CREATE TABLE runs(
  id TEXT PRIMARY KEY, started TEXT NOT NULL, state TEXT NOT NULL, run_group TEXT, backend TEXT,
  engine_version TEXT, model TEXT, revision TEXT, gpu TEXT, gpus INTEGER, workload TEXT,
  arrivals TEXT, cache TEXT, imported TEXT, requests INTEGER, finished INTEGER, invalid INTEGER);
CREATE INDEX runs_of_model ON runs(model, backend, started);
CREATE TABLE figures(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, metric TEXT NOT NULL,
  statistic TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY(run, metric, statistic)) WITHOUT ROWID;
CREATE TABLE requests(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, id INTEGER NOT NULL,
  warmup INTEGER NOT NULL, status TEXT NOT NULL, sent REAL, ttfr REAL, ttft REAL, ttfo REAL,
  tpot REAL, e2e REAL, decode_rate REAL, prompt_tokens INTEGER, output_tokens INTEGER,
  cached_tokens INTEGER, PRIMARY KEY(run, id)) WITHOUT ROWID;
CREATE TABLE marks(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, severity TEXT, code TEXT, text TEXT);
CREATE INDEX marks_of_run ON marks(run);
)sql";

// Of a distribution, by their names in `figures`.
struct Column {
  const char* name;
  double Distribution::*member;
};
constexpr Column kStatistics[] = {
    {"mean", &Distribution::mean}, {"deviation", &Distribution::deviation},
    {"min", &Distribution::min},   {"median", &Distribution::median},
    {"p90", &Distribution::p90},   {"p95", &Distribution::p95},
    {"p99", &Distribution::p99},   {"max", &Distribution::max},
};

void bind_maybe(Statement& statement, std::optional<double> value) {
  if (value)
    statement.bind(*value);
  else
    statement.bind_null();
}

void bind_count(Statement& statement, int64_t count) {
  if (count == RequestSample::kUnknown)
    statement.bind_null();
  else
    statement.bind(count);
}

std::optional<double> number_or_nothing(const Statement& row, int column) {
  return row.is_null(column) ? std::nullopt : std::optional(row.number(column));
}

// "%part%" for LIKE with '\' as its escape.
std::string part_pattern(const std::string& part) {
  std::string out = "%";
  for (const char c : part) {
    if (c == '%' || c == '_' || c == '\\') out += '\\';
    out += c;
  }
  return out + "%";
}

}  // namespace

ResultIndex::ResultIndex(const std::filesystem::path& path) : database_(path) {
  database_.run("PRAGMA journal_mode = WAL");
  database_.run("PRAGMA synchronous = NORMAL");
  database_.run("PRAGMA foreign_keys = ON");
  const auto version = [&] {
    Statement statement = database_.prepare("PRAGMA user_version");
    return statement.step() ? statement.integer(0) : 0;
  };
  if (version() == 0) {
    Transaction transaction(database_);
    if (version() == 0) {  // nobody else was faster
      database_.run(kTables);
      database_.run(fmt::format("PRAGMA user_version = {}", kIndexVersion).c_str());
    }
    transaction.commit();
  }
  if (version() != kIndexVersion)
    throw Error(ErrorKind::kUsage,
                "[results] {}: expected tables of version {}, found {}: another Mica made it. Move "
                "the file away; `mica results rebuild` makes it anew from the result files",
                path.string(), kIndexVersion, version());
}

void ResultIndex::put(const RunRecord& run) {
  Transaction transaction(database_);
  remove(run.id);
  Statement row = database_.prepare(
      "INSERT INTO runs VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const Provenance& provenance = run.provenance;
  row.bind(run.id).bind(run.started).bind(name(run.state)).bind(run.group).bind(run.backend());
  row.bind(provenance.engine.version).bind(provenance.model.id).bind(provenance.model.revision);
  row.bind(run.gpu_name()).bind(run.gpu_count());
  row.bind(run.workload.name).bind(run.workload.arrivals).bind(run.workload.cache);
  row.bind(run.imported ? run.imported->program : "");
  row.bind(run.summary.requests).bind(run.summary.finished).bind(run.invalid() ? 1 : 0);
  row.run();
  put_figures(run);
  put_requests(run);
  Statement mark = database_.prepare("INSERT INTO marks VALUES(?, ?, ?, ?)");
  for (const Mark& item : run.marks)
    mark.bind(run.id).bind(name(item.severity)).bind(item.code).bind(item.text).run();
  transaction.commit();
}

void ResultIndex::put_figures(const RunRecord& run) {
  Statement row = database_.prepare("INSERT OR REPLACE INTO figures VALUES(?, ?, ?, ?)");
  for (const auto& [metric, distribution] : run.summary.figures)
    for (const Column& column : kStatistics)
      row.bind(run.id).bind(metric).bind(column.name).bind(distribution.*column.member).run();
  for (const auto& [metric, value] : run.summary.rates)
    row.bind(run.id).bind(metric).bind("rate").bind(value).run();
}

void ResultIndex::put_requests(const RunRecord& run) {
  Statement row = database_.prepare(
      "INSERT OR REPLACE INTO requests VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const RequestSample& r : run.requests) {
    row.bind(run.id).bind(r.id).bind(r.warmup ? 1 : 0).bind(name(r.status));
    bind_maybe(row, r.sent == RequestSample::kNever ? std::nullopt : std::optional(r.sent));
    for (const char* metric : {"ttfr", "ttft", "ttfo", "tpot", "e2e", "decode_rate"})
      bind_maybe(row, value_of(metric, r));
    bind_count(row, r.prompt_tokens);
    row.bind(r.output_tokens());
    bind_count(row, r.cached_tokens);
    row.run();
  }
}

void ResultIndex::remove(const std::string& id) {
  database_.prepare("DELETE FROM runs WHERE id = ?").bind(id).run();
}

void ResultIndex::clear() {
  database_.run("DELETE FROM runs");
}

std::vector<RunEntry> ResultIndex::list(const RunFilter& filter) {
  Statement rows = database_.prepare(R"sql(
SELECT * FROM (
  SELECT id, started, state, run_group, backend, engine_version, model, revision, gpu, workload,
         arrivals, cache, imported, requests, finished, invalid,
         (SELECT value FROM figures WHERE run = id AND metric = 'ttft' AND statistic = 'median'),
         (SELECT value FROM figures WHERE run = id AND metric = 'tpot' AND statistic = 'median'),
         (SELECT value FROM figures WHERE run = id AND metric = 'e2e' AND statistic = 'median'),
         (SELECT value FROM figures WHERE run = id AND metric = 'output_throughput')
  FROM runs
  WHERE (?1 = '' OR backend = ?1) AND (?2 = '' OR model LIKE ?3 ESCAPE '\')
    AND (?4 = '' OR run_group = ?4) AND started >= ?5
  ORDER BY started DESC, id DESC LIMIT ?6) ORDER BY started, id)sql");
  rows.bind(filter.backend).bind(filter.model).bind(part_pattern(filter.model));
  rows.bind(filter.group).bind(filter.since).bind(filter.limit > 0 ? filter.limit : -1);
  std::vector<RunEntry> out;
  while (rows.step()) {
    RunEntry entry;
    int column = 0;
    for (std::string* text : {&entry.id, &entry.started, &entry.state, &entry.group, &entry.backend,
                              &entry.engine_version, &entry.model, &entry.revision, &entry.gpu,
                              &entry.workload, &entry.arrivals, &entry.cache, &entry.imported})
      *text = rows.text(column++);
    entry.requests = rows.integer(column++);
    entry.finished = rows.integer(column++);
    entry.invalid = rows.integer(column++) != 0;
    for (std::optional<double>* value :
         {&entry.ttft_median, &entry.tpot_median, &entry.e2e_median, &entry.output_throughput})
      *value = number_or_nothing(rows, column++);
    out.push_back(std::move(entry));
  }
  return out;
}

std::vector<std::string> ResultIndex::ids_with_prefix(const std::string& prefix) {
  Statement rows =
      database_.prepare("SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id");
  rows.bind(prefix);
  std::vector<std::string> ids;
  while (rows.step()) ids.push_back(rows.text(0));
  return ids;
}

}  // namespace mica
