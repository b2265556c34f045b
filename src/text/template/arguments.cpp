#include "text/template/arguments.h"

#include <algorithm>

namespace mica::jinja {

Int Bound::integer(size_t i, Int otherwise) const {
  return given_[i] ? require_int(values_[i]) : otherwise;
}

Bound bind(const char* function, const Arguments& arguments,
           std::initializer_list<std::string_view> parameters, size_t required) {
  Bound bound;
  bound.values_.resize(parameters.size());
  bound.given_.resize(parameters.size(), false);
  if (arguments.positional.size() > parameters.size()) {
    raise(ErrorType::kType, "{}() takes at most {} arguments ({} given)", function,
          parameters.size(), arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound.values_[i] = arguments.positional[i];
    bound.given_[i] = true;
  }
  for (const auto& [name, value] : arguments.named) {
    auto found = std::find(parameters.begin(), parameters.end(), name);
    size_t index = static_cast<size_t>(found - parameters.begin());
    if (found == parameters.end() || name.empty()) {
      raise(ErrorType::kType, "{}() got an unexpected keyword argument '{}'", function, name);
    }
    if (bound.given_[index]) {
      raise(ErrorType::kType, "{}() got multiple values for argument '{}'", function, name);
    }
    bound.values_[index] = value;
    bound.given_[index] = true;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound.given_[i]) {
      raise(ErrorType::kType, "{}() is missing argument {} '{}'", function, i + 1,
            *(parameters.begin() + i));
    }
  }
  return bound;
}

Int require_int(const Value& value) {
  if (value.is_undefined()) raise_undefined(value);
  if (!value.is_integral()) {
    raise(ErrorType::kType, "'{}' object cannot be interpreted as an integer", type_name(value));
  }
  return value.as_int();
}

const std::string& require_string(const Value& value) {
  if (!value.is_string()) raise(ErrorType::kType, "expected a string, not {}", type_name(value));
  return value.text();
}

int64_t clamp_index(Int value) {
  constexpr Int kMost = Int{1} << 62;
  return static_cast<int64_t>(std::clamp(value, -kMost, kMost));
}

FilterBody find_filter(std::string_view name) {
  for (auto find :
       {find_text_filter, find_number_filter, find_sequence_filter, find_select_filter}) {
    if (FilterBody body = find(name)) return body;
  }
  return nullptr;
}

bool filter_exists(const std::string& name) {
  return find_filter(name) != nullptr;
}
bool test_exists(const std::string& name) {
  return find_test(name) != nullptr;
}

}  // namespace mica::jinja
