// A validator of JSON schemas for the tests alone: the letter of the standard, slow, and written
// apart from the code that makes grammars.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

namespace mica::grammar_test {

class Validator {
 public:
  using Json = nlohmann::ordered_json;
  explicit Validator(Json root) : root_(std::move(root)) {}
  bool valid(const Json& value) const { return valid(value, root_); }

 private:
  static bool has_type(const Json& v, const std::string& type) {
    if (type == "integer")
      return v.is_number_integer() ||
             (v.is_number() && std::floor(v.get<double>()) == v.get<double>());
    return type == "null"      ? v.is_null()
           : type == "boolean" ? v.is_boolean()
           : type == "number"  ? v.is_number()
           : type == "string"  ? v.is_string()
           : type == "array"   ? v.is_array()
                               : type == "object" && v.is_object();
  }
  static size_t length(const std::string& s) {
    return static_cast<size_t>(
        std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  }
  static bool found(const std::string& text, const std::string& pattern) {
    return std::regex_search(text, std::regex(pattern, std::regex::ECMAScript));
  }

  bool valid(const Json& v, const Json& s) const {
    if (s.is_boolean()) return s.get<bool>();
    const auto at = [&](const char* key) -> const Json* {
      return s.contains(key) ? &s.at(key) : nullptr;
    };
    if (const Json* ref = at("$ref"))
      if (!valid(v, root_.at(Json::json_pointer(ref->get<std::string>().substr(1))))) return false;
    if (const Json* type = at("type")) {
      bool any = at("nullable") && v.is_null();
      if (type->is_string())
        any |= has_type(v, *type);
      else
        for (const Json& t : *type) any |= has_type(v, t);
      if (!any) return false;
    }
    if (const Json* c = at("const"))
      if (*c != v) return false;
    if (const Json* e = at("enum"))
      if (std::find(e->begin(), e->end(), v) == e->end()) return false;
    const auto holds = [&](const Json& one) { return valid(v, one); };
    if (const Json* l = at("allOf"))
      if (!std::all_of(l->begin(), l->end(), holds)) return false;
    if (const Json* l = at("anyOf"))
      if (std::none_of(l->begin(), l->end(), holds)) return false;
    if (const Json* l = at("oneOf"))
      if (std::count_if(l->begin(), l->end(), holds) != 1) return false;
    if (const Json* n = at("not"))
      if (valid(v, *n)) return false;
    if (v.is_number()) return number(v, s);
    if (v.is_string()) return string(v.get<std::string>(), s);
    if (v.is_array()) return array(v, s);
    return !v.is_object() || object(v, s);
  }

  static bool number(const Json& v, const Json& s) {
    const double d = v.get<double>();
    if (s.contains("minimum") && d < s["minimum"].get<double>()) return false;
    if (s.contains("maximum") && d > s["maximum"].get<double>()) return false;
    if (s.contains("exclusiveMinimum") && d <= s["exclusiveMinimum"].get<double>()) return false;
    if (s.contains("exclusiveMaximum") && d >= s["exclusiveMaximum"].get<double>()) return false;
    if (!s.contains("multipleOf")) return true;
    const double of = s["multipleOf"].get<double>(), times = d / of;
    // Of large numbers only the remainder of whole ones is exact.
    if (std::floor(of) == of) return std::fmod(d, of) == 0;
    return std::fabs(times - std::round(times)) < 1e-6 * std::max(1.0, std::fabs(times));
  }

  static bool string(const std::string& text, const Json& s) {
    if (s.contains("minLength") && length(text) < s["minLength"].get<size_t>()) return false;
    if (s.contains("maxLength") && length(text) > s["maxLength"].get<size_t>()) return false;
    if (s.contains("pattern") && !found(text, s["pattern"].get<std::string>())) return false;
    if (!s.contains("format")) return true;
    const std::string format = s["format"].get<std::string>();
    const std::string day = "\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])";
    const std::string time =
        "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
    if (format == "date" || format == "date-time") {
      if (!found(text, "^" + day + (format == "date" ? "$" : "[Tt]" + time + "$"))) return false;
      const int year = std::stoi(text), month = std::stoi(text.substr(5)),
                d = std::stoi(text.substr(8));
      const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
      const int last = month == 2                                              ? 28 + leap
                       : month == 4 || month == 6 || month == 9 || month == 11 ? 30
                                                                               : 31;
      return d <= last;
    }
    if (format == "time") return found(text, "^" + time + "$");
    if (format == "uuid")
      return found(text, "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$");
    if (format == "ipv4")
      return found(text, "^((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)(\\.|$)){4}$") &&
             text.back() != '.';
    if (format == "email")
      return found(
          text, R"(^([^@\s"]+|"([^"\\]|\\.)*")@([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Za-z:.]+\])$)");
    throw std::logic_error("the validator does not know the format " + format);
  }

  bool array(const Json& v, const Json& s) const {
    if (s.contains("minItems") && v.size() < s["minItems"].get<size_t>()) return false;
    if (s.contains("maxItems") && v.size() > s["maxItems"].get<size_t>()) return false;
    const size_t prefix = s.contains("prefixItems") ? s["prefixItems"].size() : 0;
    for (size_t i = 0; i < v.size(); i++) {
      if (i < prefix && !valid(v[i], s["prefixItems"][i])) return false;
      if (i >= prefix && s.contains("items") && !valid(v[i], s["items"])) return false;
    }
    return true;
  }

  bool object(const Json& v, const Json& s) const {
    if (s.contains("minProperties") && v.size() < s["minProperties"].get<size_t>()) return false;
    if (s.contains("maxProperties") && v.size() > s["maxProperties"].get<size_t>()) return false;
    if (s.contains("required"))
      for (const Json& name : s["required"])
        if (!v.contains(name.get<std::string>())) return false;
    for (auto it = v.begin(); it != v.end(); ++it) {
      bool known = false;
      if (s.contains("properties") && s["properties"].contains(it.key())) {
        known = true;
        if (!valid(*it, s["properties"][it.key()])) return false;
      }
      if (s.contains("patternProperties"))
        for (auto p = s["patternProperties"].begin(); p != s["patternProperties"].end(); ++p)
          if (found(it.key(), p.key())) {
            known = true;
            if (!valid(*it, *p)) return false;
          }
      if (!known && s.contains("additionalProperties") && !valid(*it, s["additionalProperties"]))
        return false;
      if (s.contains("propertyNames") && !valid(Json(it.key()), s["propertyNames"])) return false;
    }
    return true;
  }

  const Json root_;
};

}  // namespace mica::grammar_test
