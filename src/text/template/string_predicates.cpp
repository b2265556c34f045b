// Python's str methods that tell of what characters a text is.
#include "text/template/arguments.h"
#include "text/template/interpreter.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

using CodePredicate = bool (*)(char32_t);
template <CodePredicate predicate, bool empty>
Value all_are(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  bind("is…", arguments, {}, 0);
  interpreter.charge_bytes(self.text().size());
  for (size_t i = 0; i < self.text().size();) {
    if (!predicate(next_code_point(self.text(), i))) return Value::boolean(false);
  }
  return Value::boolean(empty || !self.text().empty());
}

bool is_alphanumeric(char32_t code) {
  return is_alpha(code) || is_numeric(code);
}
bool is_ascii_code(char32_t code) {
  return code < 0x80;
}

Value is_identifier(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("isidentifier", arguments, {}, 0);
  for (size_t i = 0; i < self.text().size();) {
    bool first = i == 0;
    char32_t code = next_code_point(self.text(), i);
    if (first ? !is_identifier_start(code) : !is_identifier_part(code)) {
      return Value::boolean(false);
    }
  }
  return Value::boolean(!self.text().empty());
}

Value is_title_text(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("istitle", arguments, {}, 0);
  bool in_word = false;
  bool any = false;
  for (size_t i = 0; i < self.text().size();) {
    char32_t code = next_code_point(self.text(), i);
    bool starts = is_upper(code) || is_title(code);
    if (starts ? in_word : is_lower(code) && !in_word) return Value::boolean(false);
    in_word = is_cased(code);
    any |= in_word;
  }
  return Value::boolean(any);
}

template <bool upper>
Value is_case(Interpreter&, const Value& self, const Arguments& arguments) {
  bind("isupper", arguments, {}, 0);
  bool any = false;
  for (size_t i = 0; i < self.text().size();) {
    char32_t code = next_code_point(self.text(), i);
    if (is_title(code) || (upper ? is_lower(code) : is_upper(code))) return Value::boolean(false);
    any |= upper ? is_upper(code) : is_lower(code);
  }
  return Value::boolean(any);
}

constexpr MethodEntry kPredicates[] = {
    {"isalnum", all_are<is_alphanumeric, false>},
    {"isalpha", all_are<is_alpha, false>},
    {"isascii", all_are<is_ascii_code, true>},
    {"isdecimal", all_are<is_decimal, false>},
    {"isdigit", all_are<is_digit, false>},
    {"isnumeric", all_are<is_numeric, false>},
    {"isprintable", all_are<is_printable, true>},
    {"isspace", all_are<is_space, false>},
    {"isidentifier", is_identifier},
    {"istitle", is_title_text},
    {"islower", is_case<false>},
    {"isupper", is_case<true>},
};

}  // namespace

MethodBody find_string_predicate(std::string_view name) {
  for (const MethodEntry& entry : kPredicates) {
    if (entry.name == name) return entry.body;
  }
  return nullptr;
}

}  // namespace mica::jinja
