#include "server/prometheus.h"

#include <fmt/format.h>

#include <cmath>

namespace mica {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  // Whole numbers in full: counters go beyond what {:g} shows.
  if (value == std::floor(value) && std::fabs(value) < 9e15)
    return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{}", value);
}

// Backslash, newline and, inside quotes, the quote are escaped.
void append_escaped(std::string& out, std::string_view text, bool quoted) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quoted) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

}  // namespace

void PrometheusText::family(std::string_view name, const char* type, std::string_view help) {
  out_ += fmt::format("# HELP {} ", name);
  append_escaped(out_, help, /*quoted=*/false);
  out_ += fmt::format("\n# TYPE {} {}\n", name, type);
}

void PrometheusText::label(std::string_view name, std::string_view value, bool& first) {
  out_ += first ? '{' : ',';
  first = false;
  out_ += name;
  out_ += "=\"";
  append_escaped(out_, value, /*quoted=*/true);
  out_ += '"';
}

void PrometheusText::sample(std::string_view name, const Labels& labels, double value) {
  out_ += name;
  bool first = true;
  for (const auto& [key, text] : common_) label(key, text, first);
  for (const auto& [key, text] : labels) label(key, text, first);
  if (!first) out_ += '}';
  out_ += fmt::format(" {}\n", number(value));
}

void PrometheusText::gauge(std::string_view name, std::string_view help, double value) {
  family(name, "gauge", help);
  sample(name, {}, value);
}

void PrometheusText::counter(std::string_view name, std::string_view help, double value) {
  family(name, "counter", help);
  sample(name, {}, value);
}

void PrometheusText::histogram(std::string_view name, std::string_view help,
                               const Histogram& histogram) {
  family(name, "histogram", help);
  const std::string bucket = fmt::format("{}_bucket", name);
  const std::vector<uint64_t> counts = histogram.counts();
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const bool last = i == histogram.bounds().size();
    const std::string bound = last ? "+Inf" : fmt::format("{}", histogram.bounds()[i]);
    sample(bucket, {{"le", bound}}, static_cast<double>(total));
  }
  sample(fmt::format("{}_sum", name), {}, histogram.sum());
  sample(fmt::format("{}_count", name), {}, static_cast<double>(total));
}

}  // namespace mica
