#include "text/tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "text/tokenizer/unicode_data.h"

namespace mica::tok {
namespace {

constexpr const char* kCategories[] = {"cn", "lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd",
                                       "nl", "no", "zs", "zl", "zp", "cc", "cf", "co", "cs", "pc",
                                       "pd", "ps", "pe", "pi", "pf", "po", "sm", "sc", "sk", "so"};

// Calls visit(value, first, last) for each run of a table of unicode_data.cpp.
template <typename Visit>
void each_run(const char* data, Visit visit) {
  const auto number = [&data] {
    uint32_t value = 0;
    for (int shift = 0;; shift += 5) {
      uint32_t digit = static_cast<uint32_t>(*data++ - '#');
      value |= (digit & 31) << shift;
      if (digit < 32) return value;
    }
  };
  for (char32_t at = 0; *data != 0;) {
    uint32_t value = number(), length = number();
    visit(value, at, at + length - 1);
    at += length;
  }
}

RangeSet table_set(const char* data) {
  std::vector<RangeSet::Range> ranges;
  each_run(data, [&](uint32_t value, char32_t first, char32_t last) {
    if (value) ranges.push_back({first, last});
  });
  return RangeSet(std::move(ranges));
}

std::vector<RangeSet> table_sets(const char* data, size_t count) {
  std::vector<std::vector<RangeSet::Range>> ranges(count);
  char32_t end = 0;
  each_run(data, [&](uint32_t value, char32_t first, char32_t last) {
    ranges[value].push_back({first, last});
    end = last + 1;
  });
  if (end <= kMaxCodePoint) ranges[0].push_back({end, kMaxCodePoint});
  std::vector<RangeSet> sets;
  for (auto& r : ranges) sets.emplace_back(std::move(r));
  return sets;
}

RangeSet white_space() {
  return RangeSet({{9, 13},
                   {0x20, 0x20},
                   {0x85, 0x85},
                   {0xA0, 0xA0},
                   {0x1680, 0x1680},
                   {0x2000, 0x200A},
                   {0x2028, 0x2029},
                   {0x202F, 0x202F},
                   {0x205F, 0x205F},
                   {0x3000, 0x3000}});
}

using PropertyMap = std::map<std::string, RangeSet, std::less<>>;

void add_posix(PropertyMap& map) {
  const RangeSet space = white_space();
  const RangeSet& word = map["word"] = table_set(unicode_data::kWord);
  map["w"] = word;
  map["space"] = map["whitespace"] = space;
  map["alpha"] = map["alphabetic"] = table_set(unicode_data::kAlphabetic);
  map["upper"] = map["uppercase"] = table_set(unicode_data::kUpper);
  map["lower"] = map["lowercase"] = table_set(unicode_data::kLower);
  map["digit"] = map["nd"];
  map["alnum"] = map["alpha"] | map["nd"];
  map["punct"] = map["p"] | map["s"];
  map["cntrl"] = map["cc"];
  map["blank"] = map["zs"] | RangeSet::single('\t');
  map["graph"] = RangeSet::all() - space - map["cc"] - map["cn"] - map["cs"];
  map["print"] = map["graph"] | map["zs"];
  map["xdigit"] = RangeSet({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  map["ascii"] = RangeSet({{0, 127}});
  map["any"] = RangeSet::all();
  map["assigned"] = ~map["cn"];
}

PropertyMap make_properties() {
  PropertyMap map;
  constexpr size_t kCount = std::size(kCategories);
  std::vector<RangeSet> sets = table_sets(unicode_data::kCategory, kCount);
  for (size_t i = 0; i < kCount; i++) {
    map[kCategories[i]] = sets[i];
    RangeSet& group = map[std::string(1, kCategories[i][0])];
    group = group | sets[i];
  }
  map["lc"] = map["lu"] | map["ll"] | map["lt"];
  add_posix(map);
  static constexpr std::pair<const char*, const char*> kLong[] = {{"letter", "l"},
                                                                  {"mark", "m"},
                                                                  {"number", "n"},
                                                                  {"punctuation", "p"},
                                                                  {"symbol", "s"},
                                                                  {"separator", "z"},
                                                                  {"other", "c"},
                                                                  {"uppercaseletter", "lu"},
                                                                  {"lowercaseletter", "ll"},
                                                                  {"titlecaseletter", "lt"},
                                                                  {"modifierletter", "lm"},
                                                                  {"otherletter", "lo"},
                                                                  {"nonspacingmark", "mn"},
                                                                  {"spacingmark", "mc"},
                                                                  {"enclosingmark", "me"},
                                                                  {"decimalnumber", "nd"},
                                                                  {"letternumber", "nl"},
                                                                  {"othernumber", "no"},
                                                                  {"unassigned", "cn"},
                                                                  {"control", "cc"},
                                                                  {"format", "cf"},
                                                                  {"combiningmark", "m"}};
  for (auto [long_name, short_name] : kLong) map[long_name] = map[short_name];
  sets = table_sets(unicode_data::kScript, unicode_data::kScriptCount + 1);
  for (size_t i = 0; i < unicode_data::kScriptCount; i++)
    map[unicode_data::kScriptNames[i]] = sets[i + 1];
  return map;
}

// A byte for each code point: blocks of 256, equal blocks stored once.
class ByteTable {
 public:
  explicit ByteTable(const char* data) {
    std::vector<uint8_t> flat(kMaxCodePoint + 1);
    each_run(data, [&](uint32_t value, char32_t first, char32_t last) {
      std::fill(flat.begin() + first, flat.begin() + last + 1, static_cast<uint8_t>(value));
    });
    std::map<std::array<uint8_t, 256>, uint16_t> known;
    for (size_t block = 0; block < index_.size(); block++) {
      std::array<uint8_t, 256> bytes;
      std::copy_n(flat.begin() + block * 256, 256, bytes.begin());
      auto [it, added] = known.try_emplace(bytes, static_cast<uint16_t>(blocks_.size()));
      if (added) blocks_.push_back(bytes);
      index_[block] = it->second;
    }
  }
  uint8_t operator[](char32_t c) const { return blocks_[index_[c >> 8]][c & 255]; }

 private:
  std::array<uint16_t, (kMaxCodePoint >> 8) + 1> index_{};
  std::vector<std::array<uint8_t, 256>> blocks_;
};

// Characters with the same case folding that the lowercase mapping does not connect.
constexpr std::pair<char32_t, char32_t> kFoldPairs[] = {
    {0x17F, 's'},   {0xB5, 0x3BC},   {0x3C2, 0x3C3},   {0x3D0, 0x3B2}, {0x3D1, 0x3B8},
    {0x3D5, 0x3C6}, {0x3D6, 0x3C0},  {0x3F0, 0x3BA},   {0x3F1, 0x3C1}, {0x3F5, 0x3B5},
    {0x345, 0x3B9}, {0x1FBE, 0x3B9}, {0x1E9B, 0x1E61}, {0x1C5, 0x1C6}, {0x1C8, 0x1C9},
    {0x1CB, 0x1CC}, {0x1F2, 0x1F3}};

}  // namespace

std::string to_utf8(char32_t c) {
  std::string out;
  append_utf8(out, c);
  return out;
}

Utf8Kind classify_utf8(const char* p, const char* end, uint32_t& length) {
  const auto b = [p](size_t i) { return static_cast<uint8_t>(p[i]); };
  const uint8_t lead = b(0);
  length = 1;
  if (lead < 0x80) return Utf8Kind::kGood;
  if (lead < 0xC2 || lead > 0xF4) return Utf8Kind::kBad;
  const uint32_t need = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (; length < need; length++) {
    if (p + length == end) return Utf8Kind::kCut;
    if (b(length) < low || b(length) > high) return Utf8Kind::kBad;
    low = 0x80, high = 0xBF;
  }
  return Utf8Kind::kGood;
}

size_t append_lossy(std::string& out, std::string_view bytes, bool keep_cut) {
  const char* const end = bytes.data() + bytes.size();
  const char* p = bytes.data();
  while (p != end) {
    uint32_t length;
    Utf8Kind kind = classify_utf8(p, end, length);
    if (kind == Utf8Kind::kCut && keep_cut) break;
    if (kind == Utf8Kind::kGood)
      out.append(p, length);
    else
      out.append("\xEF\xBF\xBD");
    p += length;
  }
  return static_cast<size_t>(p - bytes.data());
}

const RangeSet* property_set(std::string_view name) {
  static const PropertyMap properties = make_properties();
  std::string key;
  for (char c : name)
    if (c != '_' && c != '-' && c != ' ')
      key.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  for (std::string_view prefix : {"script=", "sc=", "generalcategory=", "gc="})
    if (key.starts_with(prefix)) key.erase(0, prefix.size());
  auto it = properties.find(key);
  return it == properties.end() ? nullptr : &it->second;
}

bool is_whitespace(char32_t c) {
  static const CharSet set(white_space());
  return set.contains(c);
}

bool is_rust_word(char32_t c) {
  // Oniguruma's \w also has six digits and fractions of Latin-1; \w here has the joiners.
  static const CharSet set(
      (table_set(unicode_data::kWord) - RangeSet({{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}})) |
      RangeSet({{0x200C, 0x200D}}));
  return set.contains(c);
}

bool is_numeric(char32_t c) {
  static const CharSet set(table_set(unicode_data::kNumeric));
  return set.contains(c);
}

bool is_punctuation(char32_t c) {
  static const CharSet set(table_set(unicode_data::kPunctuation));
  return set.contains(c);
}

bool is_bert_removed(char32_t c) {
  static const CharSet set(table_set(unicode_data::kBertRemoved));
  return set.contains(c);
}

bool is_bert_accent(char32_t c) {
  static const CharSet set(table_set(unicode_data::kBertAccent));
  return set.contains(c);
}

bool is_combining_mark(char32_t c) {
  static const CharSet set(table_set(unicode_data::kCombiningMark));
  return set.contains(c);
}

uint8_t split_script(char32_t c) {
  static const ByteTable table(unicode_data::kSplitScript);
  return table[c];
}

uint8_t normal_form_flags(char32_t c) {
  static const ByteTable table(unicode_data::kNormalForms);
  return table[c];
}

char32_t to_lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  const auto* const begin = unicode_data::kLowerRuns;
  const auto* const end = begin + unicode_data::kLowerRunCount;
  const auto* run = std::upper_bound(
      begin, end, c, [](char32_t v, const unicode_data::LowerRun& r) { return v < r.first; });
  if (run == begin) return c;
  --run;
  if (c > run->last || (c - run->first) % run->stride != 0) return c;
  return c + static_cast<char32_t>(run->delta);
}

RangeSet fold_case(const RangeSet& set) {
  std::vector<RangeSet::Range> ranges = set.ranges();
  RangeSet now = set;
  const auto connect = [&](char32_t a, char32_t b) {
    if (now.contains(a) != now.contains(b)) ranges.push_back({a, a}), ranges.push_back({b, b});
  };
  for (int pass = 0; pass < 3; pass++) {  // K -> k -> Kelvin sign takes two
    for (size_t i = 0; i < unicode_data::kLowerRunCount; i++) {
      const auto& run = unicode_data::kLowerRuns[i];
      for (char32_t c = run.first; c <= run.last; c += run.stride)
        connect(c, c + static_cast<char32_t>(run.delta));
    }
    for (auto [a, b] : kFoldPairs) connect(a, b);
    RangeSet next(ranges);
    if (next == now) break;
    now = std::move(next);
  }
  return now;
}

}  // namespace mica::tok
