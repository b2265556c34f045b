// A template of the language of chat templates: compiled once, rendered from any thread.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "text/template/interpreter.h"

namespace mica::jinja {

struct Ast;

class Template {
 public:
  explicit Template(std::string_view source);  // raises TemplateError(kSyntax)
  Template(Template&& other) noexcept;
  ~Template();

  // `variables` is an object. Raises TemplateError with the line.
  std::string render(const nlohmann::ordered_json& variables, const Limits& limits = {},
                     std::function<ClockTime()> clock = nullptr) const;

 private:
  std::unique_ptr<Ast> ast_;
};

}  // namespace mica::jinja
