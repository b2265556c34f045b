#include "base/spelling.h"

#include <algorithm>
#include <numeric>

namespace mica {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string nearest_spelling(std::string_view word, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 200;  // more is no word: the distance costs the product of lengths
  std::string best;
  if (word.size() > kLongest) return best;
  size_t least = word.size() / 2 + 1;
  for (const std::string& candidate : known)
    if (const size_t d = edit_distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  return best;
}

std::string meant_instead(std::string_view word, const std::vector<std::string>& known) {
  const std::string best = nearest_spelling(word, known);
  return best.empty() ? "" : "; is " + best + " meant?";
}

std::string counted(int64_t number, std::string_view noun) {
  return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

}  // namespace mica
