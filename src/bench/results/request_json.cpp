// Requests: a line of the journal and of the result file.
#include <array>

#include "bench/results/json_node.h"
#include "bench/results/parts_json.h"
#include "bench/results/run_json.h"

namespace mica {
namespace {

constexpr double kNever = RequestSample::kNever;
constexpr int64_t kUnknown = RequestSample::kUnknown;

struct Time {
  const char* name;
  double RequestSample::*member;
};
constexpr Time kTimes[] = {
    {"due", &RequestSample::due},
    {"sent", &RequestSample::sent},
    {"first_byte", &RequestSample::first_byte},
    {"first_response", &RequestSample::first_response},
    {"first_token", &RequestSample::first_token},
    {"first_answer", &RequestSample::first_answer},
    {"last_token", &RequestSample::last_token},
    {"ended", &RequestSample::ended},
};

struct Count {
  const char* name;
  int64_t RequestSample::*member;
};
constexpr Count kCounts[] = {
    {"wanted_input", &RequestSample::wanted_input},
    {"wanted_output", &RequestSample::wanted_output},
    {"prompt_tokens", &RequestSample::prompt_tokens},
    {"completion_tokens", &RequestSample::completion_tokens},
    {"cached_tokens", &RequestSample::cached_tokens},
    {"reasoning_tokens", &RequestSample::reasoning_tokens},
    {"counted_output", &RequestSample::counted_output},
};

struct Text {
  const char* name;
  std::string RequestSample::*member;
};
constexpr Text kTexts[] = {
    {"group", &RequestSample::group},
    {"error", &RequestSample::error},
    {"finish_reason", &RequestSample::finish_reason},
    {"reasoning", &RequestSample::reasoning},
    {"answer", &RequestSample::answer},
    {"tool_calls", &RequestSample::tool_calls},
};

// Of the kinds in the order of ChunkKind: role, usage, thinking, answer, call.
constexpr std::string_view kKindLetters = "rutac";

constexpr RequestStatus kStatuses[] = {
    RequestStatus::kOk,          RequestStatus::kRefused,   RequestStatus::kHttpError,
    RequestStatus::kTimeout,     RequestStatus::kDropped,   RequestStatus::kMalformed,
    RequestStatus::kServerError, RequestStatus::kCancelled,
};

// Seconds since a run began. Others than the client would write are not computed with.
double read_time(const JsonNode& node) {
  const double time = node.number();
  if (time < 0 || time > 1e9) node.wrong("seconds since the run began");
  return time;
}

int64_t read_count(const JsonNode& node) {
  const int64_t count = node.integer();
  if (count < 0 || count > 1'000'000'000'000) node.wrong("a number of tokens");
  return count;
}

OrderedJson chunks_json(const std::vector<ChunkRecord>& chunks) {
  OrderedJson times = OrderedJson::array(), bytes = OrderedJson::array();
  std::string kinds;
  for (const ChunkRecord& chunk : chunks) {
    times.push_back(chunk.time);
    bytes.push_back(chunk.bytes);
    kinds += kKindLetters[static_cast<size_t>(chunk.kind)];
  }
  return {{"kinds", std::move(kinds)}, {"times", std::move(times)}, {"bytes", std::move(bytes)}};
}

std::vector<ChunkRecord> read_chunks(const JsonNode& node) {
  const std::vector<JsonNode> times = node.at("times").items();
  const std::string kinds = node.at("kinds").text();
  const std::vector<JsonNode> bytes = node.at("bytes").items();
  if (times.size() != kinds.size() || bytes.size() != kinds.size())
    node.wrong("as many times and bytes as kinds");
  std::vector<ChunkRecord> chunks;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const size_t kind = kKindLetters.find(kinds[i]);
    if (kind == std::string_view::npos) node.wrong("kinds of 'rutac'");
    const int64_t size = bytes[i].integer();
    if (size < 0 || size > INT32_MAX) bytes[i].wrong("a size");
    chunks.push_back(
        {read_time(times[i]), static_cast<ChunkKind>(kind), static_cast<int32_t>(size)});
  }
  return chunks;
}

RequestStatus read_status(const JsonNode& node) {
  const std::string text = node.text();
  for (const RequestStatus status : kStatuses)
    if (text == name(status)) return status;
  node.wrong("a status such as ok or timeout");
}

}  // namespace

OrderedJson request_json(const RequestSample& record) {
  OrderedJson json;
  json["id"] = record.id;
  if (record.warmup) json["warmup"] = true;
  json["status"] = name(record.status);
  if (record.http_status != 0) json["http_status"] = record.http_status;
  for (const Time& time : kTimes)
    if (record.*time.member != kNever) json[time.name] = record.*time.member;
  for (const Count& count : kCounts)
    if (record.*count.member != kUnknown) json[count.name] = record.*count.member;
  for (const Text& text : kTexts) put(json, text.name, record.*text.member);
  if (!record.chunks.empty()) json["chunks"] = chunks_json(record.chunks);
  return json;
}

RequestSample read_request(const JsonNode& node) {
  RequestSample record;
  record.id = node.at("id").integer();
  node.read("warmup", record.warmup);
  record.status = read_status(node.at("status"));
  node.read("http_status", record.http_status);
  for (const Time& time : kTimes)
    if (const auto value = node.find(time.name)) record.*time.member = read_time(*value);
  for (const Count& count : kCounts)
    if (const auto value = node.find(count.name)) record.*count.member = read_count(*value);
  for (const Text& text : kTexts) node.read(text.name, record.*text.member);
  if (const auto chunks = node.find("chunks")) record.chunks = read_chunks(*chunks);
  return record;
}

std::string to_json(const RequestSample& record) {
  return dump(request_json(record));
}

RequestSample request_from_json(std::string_view text, const std::string& source) {
  const OrderedJson json = parse_document(text, source);
  return read_request(JsonNode(json, source + ": "));
}

}  // namespace mica
