// Questions from arbitrary bytes, and the rest of the bytes judged as an answer to each: an Error,
// or verdicts.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "bench/eval/eval_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\0');
  try {
    const mica::QuestionSet set = mica::parse_questions(text.substr(0, end), "fuzz");
    mica::RequestSample request;
    request.status = mica::RequestStatus::kOk;
    if (end != std::string_view::npos) request.answer = text.substr(end + 1);
    for (const mica::Question& question : set.questions) {
      const mica::EvalRecord record = mica::make_record(question, request);
      if (record.outcome == mica::Outcome::kFailed) std::abort();
      const mica::OrderedJson json =
          mica::parse_document(mica::dump(mica::record_json(record)), "fuzz");
      if (mica::read_record(mica::JsonNode(json, "fuzz")).outcome != record.outcome) std::abort();
    }
  } catch (const mica::Error&) {
  }
  return 0;
}
