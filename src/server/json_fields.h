// A JSON body and its fields: each value is checked when it is read, errors carry the field's name.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace mica {

// The object in `body`. Throws RequestError(400) for what is no JSON object, nested too deep, or
// larger than a request can sensibly be (limits.h).
nlohmann::ordered_json parse_json_body(std::string_view body);

// Fields of an object. null counts as absent; the default is then returned.
class Fields {
 public:
  explicit Fields(const nlohmann::ordered_json& object) : object_(object) {}

  // nullptr when absent or null.
  const nlohmann::ordered_json* find(const char* name) const;
  bool boolean(const char* name, bool missing) const;
  // Within [least, most], else an error that names both.
  double number(const char* name, double missing, double least, double most) const;
  int64_t integer(const char* name, int64_t missing, int64_t least, int64_t most) const;
  std::string text(const char* name, const std::string& missing) const;
  // nullptr when absent or null; an error when it is something else.
  const nlohmann::ordered_json* object(const char* name) const;

 private:
  const nlohmann::ordered_json& object_;
};

// The text or the flag `name` of an object; "" or false when it is absent or something else.
std::string text_or_empty(const nlohmann::ordered_json& object, const char* name);
bool is_true(const nlohmann::ordered_json& object, const char* name);
// Of a member that must be a text; `place` is the object's.
std::string member_text(const nlohmann::ordered_json& object, const char* name,
                        const std::string& place);

// "expected a number from 0 to 1, found "x"" for the field `param`.
[[noreturn]] void wrong_value(const std::string& param, const std::string& expected,
                              const nlohmann::ordered_json& found);
// The number in `value`, whole and within the range, or an error about `param`.
int64_t whole_number(const std::string& param, const nlohmann::ordered_json& value, int64_t least,
                     int64_t most);

}  // namespace mica
