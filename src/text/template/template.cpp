#include "text/template/template.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "text/template/parser.h"
#include "text/template/unicode.h"

namespace mica::jinja {
namespace {

ClockTime system_clock() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  auto micro = std::chrono::duration_cast<std::chrono::microseconds>(since).count();
  return {micro / 1000000, static_cast<int>(micro % 1000000)};
}

}  // namespace

Template::Template(std::string_view source) {
  if (!is_valid_utf8(source)) {
    throw TemplateError(ErrorType::kSyntax, "the template is not valid UTF-8", 1);
  }
  ast_ = parse(source);
}

Template::Template(Template&& other) noexcept = default;
Template::~Template() = default;

std::string Template::render(const nlohmann::ordered_json& variables, const Limits& limits,
                             std::function<ClockTime()> clock) const {
  MemoryBudget budget(limits.value_bytes);
  Variables values;
  for (const auto& [name, value] : variables.items()) values[name] = from_json(value);
  return Interpreter(*ast_, std::move(values), limits, clock ? std::move(clock) : system_clock)
      .render();
}

}  // namespace mica::jinja
