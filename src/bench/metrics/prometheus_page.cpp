#include "bench/metrics/prometheus_page.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace mica {
namespace {

bool is_name(char c, bool first) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
  return letter || (!first && ((c >= '0' && c <= '9') || c == '.'));
}

// One line, read from its beginning.
class Line {
 public:
  Line(std::string_view text, size_t number) : whole_(text), rest_(text), number_(number) {}

  MetricSample sample() {
    MetricSample out;
    out.name = name("a metric's name");
    skip_blanks();
    if (take('{')) labels(out);
    skip_blanks();
    out.value = value();
    // A time stamp or, in OpenMetrics, an exemplar may follow.
    return out;
  }

 private:
  [[noreturn]] void wrong(const char* expected) const {
    throw Error(ErrorKind::kMeasurement, "[metrics] line {}: expected {}, found '{}'", number_,
                expected, whole_.substr(whole_.size() - rest_.size(), 60));
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_blanks() {
    while (take(' ') || take('\t')) {
    }
  }
  std::string name(const char* what) {
    size_t size = 0;
    while (size < rest_.size() && is_name(rest_[size], size == 0)) ++size;
    if (size == 0) wrong(what);
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  void labels(MetricSample& sample) {
    skip_blanks();
    while (!take('}')) {
      std::string key = name("a label's name");
      skip_blanks();
      if (!take('=')) wrong("'='");
      skip_blanks();
      sample.labels.emplace_back(std::move(key), quoted());
      skip_blanks();
      if (take(',')) {
        skip_blanks();
      } else if (!rest_.starts_with('}')) {
        wrong("',' or '}'");
      }
    }
  }
  std::string quoted() {
    if (!take('"')) wrong("a value in quotes");
    std::string out;
    while (!take('"')) {
      if (rest_.empty()) wrong("the quote that ends a label's value");
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\' && !rest_.empty()) {
        c = rest_.front() == 'n' ? '\n' : rest_.front();
        rest_.remove_prefix(1);
      }
      out += c;
    }
    return out;
  }
  double value() {
    const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t"));
    if (word == "+Inf" || word == "Inf") return std::numeric_limits<double>::infinity();
    if (word == "-Inf") return -std::numeric_limits<double>::infinity();
    if (word == "NaN" || word == "Nan") return std::numeric_limits<double>::quiet_NaN();
    const std::string_view digits = word.starts_with('+') ? word.substr(1) : word;
    double out = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
      wrong("a number");
    return out;
  }

  const std::string_view whole_;
  std::string_view rest_;
  const size_t number_;
};

}  // namespace

const std::string* MetricSample::label(std::string_view label_name) const {
  for (const auto& [key, value] : labels)
    if (key == label_name) return &value;
  return nullptr;
}

bool PrometheusPage::has(std::string_view name) const {
  return std::any_of(samples.begin(), samples.end(),
                     [name](const MetricSample& sample) { return sample.name == name; });
}

std::optional<double> PrometheusPage::sum(std::string_view name) const {
  std::optional<double> out;
  for (const MetricSample& sample : samples)
    if (sample.name == name && std::isfinite(sample.value)) out = out.value_or(0) + sample.value;
  return out;
}

std::optional<double> PrometheusPage::largest(std::string_view name) const {
  std::optional<double> out;
  for (const MetricSample& sample : samples)
    if (sample.name == name && std::isfinite(sample.value))
      out = std::max(out.value_or(sample.value), sample.value);
  return out;
}

PrometheusPage parse_prometheus(std::string_view text) {
  PrometheusPage page;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
    line.remove_prefix(begin);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && line.front() != '#') page.samples.push_back(Line(line, number).sample());
  }
  return page;
}

}  // namespace mica
