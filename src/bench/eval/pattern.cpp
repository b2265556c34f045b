#include "bench/eval/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

namespace mica {
namespace {

constexpr uint32_t kMatchLimit = 1'000'000;  // steps: below a second
constexpr uint32_t kHeapLimit = 64 << 10;    // KiB

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Code() {
    pcre2_code_free(code);
    pcre2_match_context_free(context);
  }
};

Pattern::Pattern(const std::string& text, bool ignore_case)
    : text_(text), code_(std::make_unique<Code>()) {
  int error = 0;
  size_t place = 0;
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
  if (ignore_case) options |= PCRE2_CASELESS;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options,
                              &error, &place, nullptr);
  if (!code_->code) {
    PCRE2_UCHAR message[160] = {};
    pcre2_get_error_message(error, message, sizeof message);
    throw Error(ErrorKind::kUsage, "expected a regular expression, found '{}': at byte {}: {}",
                text, place, reinterpret_cast<const char*>(message));
  }
  code_->context = pcre2_match_context_create(nullptr);
  MICA_CHECK(code_->context);
  pcre2_set_match_limit(code_->context, kMatchLimit);
  pcre2_set_heap_limit(code_->context, kHeapLimit);
}

Pattern::~Pattern() = default;

Pattern::Result Pattern::search(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(
      pcre2_match_data_create_from_pattern(code_->code, nullptr));
  MICA_CHECK(data);
  const int result = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), 0, 0, data.get(), code_->context);
  if (result >= 0) return Result::kFound;
  return result == PCRE2_ERROR_NOMATCH ? Result::kNotFound : Result::kTooLong;
}

}  // namespace mica
