// Binding of call arguments to parameters, and Python's conversions of them.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/template/value.h"

namespace mica::jinja {

class Bound {
 public:
  bool has(size_t i) const { return given_[i]; }
  const Value& operator[](size_t i) const { return values_[i]; }
  Int integer(size_t i, Int otherwise) const;  // TypeError unless int or bool
  bool flag(size_t i, bool otherwise) const { return given_[i] ? truthy(values_[i]) : otherwise; }

 private:
  friend Bound bind(const char*, const Arguments&, std::initializer_list<std::string_view>, size_t);
  std::vector<Value> values_;
  std::vector<bool> given_;
};

// The first `required` parameters must be given. Parameters named "" are positional only.
Bound bind(const char* function, const Arguments& arguments,
           std::initializer_list<std::string_view> parameters, size_t required);

Int require_int(const Value& value);
const std::string& require_string(const Value& value);
// A clamp of any integer to what fits a size or an index.
int64_t clamp_index(Int value);

// A function of the template language written in C++.
class FunctionObject : public CallableObject {
 public:
  using Body = Value (*)(Interpreter&, const Arguments&);
  FunctionObject(std::string name, Body body) : name_(std::move(name)), body_(body) {}
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return body_(interpreter, arguments);
  }
  std::string repr() const override { return "<function " + name_ + ">"; }

 private:
  std::string name_;
  Body body_;
};

using MethodBody = Value (*)(Interpreter&, const Value& self, const Arguments&);
using FilterBody = Value (*)(Interpreter&, const Value& input, const Arguments&);
using TestBody = bool (*)(Interpreter&, const Value& input, const Arguments&);
struct MethodEntry {
  std::string_view name;
  MethodBody body;
};
struct FilterEntry {
  std::string_view name;
  FilterBody body;
};

// nullptr when the table has no such name.
MethodBody find_string_method(std::string_view name);
MethodBody find_string_predicate(std::string_view name);  // of those: isalpha and such
FilterBody find_text_filter(std::string_view name);
FilterBody find_number_filter(std::string_view name);
FilterBody find_sequence_filter(std::string_view name);
FilterBody find_select_filter(std::string_view name);
FilterBody find_filter(std::string_view name);
TestBody find_test(std::string_view name);

// Python's `format % values` and format.format(…); those of Markup escape what they insert.
std::string percent_format(Interpreter& interpreter, const std::string& format, const Value& values,
                           bool escapes);
std::string brace_format(Interpreter& interpreter, const std::string& format,
                         const Arguments& arguments, bool escapes);
// Python's int(text) and float(text); raises ValueError.
Value number_from_text(const std::string& text, bool is_float);
Value dict_from_keys(Interpreter& interpreter, const Arguments& arguments);
std::string strftime(const std::string& format, int64_t unix_seconds, int microseconds);
std::string pretty(const Value& value);  // Python's pprint.pformat
std::vector<std::string> wrap_line(const std::string& line, size_t width, bool break_long_words,
                                   bool break_on_hyphens);
std::vector<std::string> split_lines(const std::string& text, bool keep_ends);

}  // namespace mica::jinja
