// Reads one value byte by byte, in the notation of JSON, Python or Gemma, and writes it as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mica {

// White space of JSON.
inline bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// What models get wrong in their JSON is mended where there is one meaning: raw line breaks in
// strings, unknown escapes, commas before a bracket, single quotes, True, False and None. White
// space between the parts of JSON is kept as it was written.
class ValueReader {
 public:
  enum class Notation : uint8_t {
    kJson,
    kPython,  // strings, numbers, True, False, None, lists, tuples, dictionaries
    kGemma,   // bare keys; strings between two quote markers
  };
  enum class Status : uint8_t {
    kMore,
    kDone,        // with this byte
    kDoneBefore,  // the byte behind the value: a number or a word does not end by itself
    kFailed,      // problem() says why
  };
  // `quote`: Gemma's quote marker, a '<' followed by bytes other than '<'.
  explicit ValueReader(Notation notation, std::string_view quote = {})
      : notation_(notation), quote_(quote) {}

  Status feed(char c, std::string& out);
  // The text ended here: true when all values are whole, and what was open is closed.
  bool close(std::string& out);
  const char* problem() const { return problem_; }
  bool mended() const { return mended_; }

 private:
  enum class State : uint8_t {
    kValue,
    kItem,  // a value or the end of the list
    kKey,   // a key or the end of the object
    kColon,
    kNext,  // a comma or the end
    kString,
    kEscape,
    kHex,
    kOctal,
    kWord,       // a number, a name, a bare key
    kQuoteOpen,  // inside Gemma's first quote marker
    kQuoted,
  };

  Status structure_byte(char c, std::string& out);
  Status begin_value(char c, std::string& out);
  Status begin_key(char c, std::string& out);
  Status open(char c, std::string& out);
  Status close_bracket(char c, std::string& out);
  Status string_byte(char c, std::string& out);
  Status escape_byte(char c, std::string& out);
  Status hex_byte(char c, std::string& out);
  void unit(uint32_t value, std::string& out);        // a code unit of \u
  void code_point(uint32_t value, std::string& out);  // of Python's escapes
  void flush_surrogate(std::string& out);
  Status quoted_byte(char c, std::string& out);
  Status end_string(std::string& out);
  bool ends_word(char c) const;
  bool end_word(std::string& out);
  bool python_word(std::string& out);
  Status failed(const char* problem);
  void flush_comma(std::string& out);
  bool json() const { return notation_ == Notation::kJson; }

  Notation notation_;
  std::string_view quote_;
  State state_ = State::kValue;
  std::string stack_;  // the open brackets: { [ (
  std::string comma_;  // a comma and the space behind it, until something follows
  std::string word_;   // kWord; the digits of kHex and kOctal
  char delimiter_ = '"';
  bool key_ = false;   // the string or word is a key
  uint32_t high_ = 0;  // a high surrogate that waits for its low one
  size_t digits_ = 0;  // kHex: how many are needed
  size_t quote_matched_ = 0;
  const char* problem_ = "";
  bool mended_ = false;
};

// Appends `text` as the inside of a JSON string.
void append_escaped(std::string& out, std::string_view text);
std::string json_string(std::string_view text);

}  // namespace mica
