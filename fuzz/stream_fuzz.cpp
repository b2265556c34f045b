// Bytes of a server to the record of a request. The first byte chooses the form that was asked and
// the size of portions; whatever the portions, the record is the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "bench/client/answer_reader.h"

namespace {

mica::RequestSample read(std::string_view bytes, mica::AnswerForm form, size_t portion) {
  mica::RequestSample record;
  mica::AnswerReader reader(record, form, /*keep_body=*/true, /*max_answer_bytes=*/1 << 20);
  double time = 1;
  for (; !bytes.empty(); ++time) {
    reader.feed(bytes.substr(0, portion), time);
    bytes.remove_prefix(std::min(portion, bytes.size()));
  }
  reader.connection_ended("end of the bytes", time);
  MICA_CHECK(reader.decided());
  MICA_CHECK(record.ok() || record.status != mica::RequestStatus::kCancelled);
  return record;
}

void check(const mica::RequestSample& record) {
  using Record = mica::RequestSample;
  double last = 0;
  for (const mica::ChunkRecord& chunk : record.chunks) {
    MICA_CHECK(chunk.time >= last && chunk.bytes >= 0);
    last = chunk.time;
  }
  MICA_CHECK(record.output_tokens() >= 0 && record.ended >= last);
  if (record.first_token != Record::kNever)
    MICA_CHECK(record.first_response <= record.first_token && record.first_byte > 0 &&
               record.last_token >= record.first_token);
  MICA_CHECK(record.first_token != Record::kNever ||
             (record.answer + record.reasoning + record.tool_calls).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto form = static_cast<mica::AnswerForm>(data[0] % 3);
  const mica::RequestSample whole = read(bytes, form, bytes.size() + 1);
  const mica::RequestSample parts = read(bytes, form, 1 + data[0] / 3 % 40);
  check(whole);
  check(parts);
  // Of a head that never ended it is chance whether its fault or its end is told.
  MICA_CHECK(whole.ok() == parts.ok() && whole.http_status == parts.http_status);
  MICA_CHECK(whole.http_status == 0 || whole.status == parts.status);
  MICA_CHECK(whole.answer == parts.answer && whole.reasoning == parts.reasoning);
  MICA_CHECK(whole.tool_calls == parts.tool_calls && whole.finish_reason == parts.finish_reason);
  MICA_CHECK(whole.body == parts.body && whole.chunks.size() == parts.chunks.size());
  MICA_CHECK(whole.completion_tokens == parts.completion_tokens);
  return 0;
}
