// Formats of strings as regular expressions: RFC 3339, 9562, 5321, 1123, 791, 4291, 3986, 6901, in
// the parts that docs/structured-output.md states. Each text is valid in its format.
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "text/grammar/schema.h"

namespace mica::grammar {
namespace {

std::string choice(const std::vector<std::string>& alternatives) {
  return fmt::format("(?:{})", fmt::join(alternatives, "|"));
}

const std::string kDate =
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|"
    "[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])"
    "|(?:[02468][048]|[13579][26])00)-02-29)";
const std::string kTime =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,18})?(?:[Zz]|[+-](?:[01][0-9]"
    "|2[0-3]):[0-5][0-9])";

// Units that follow each other without a gap, from any of them on: "1H2M", "2M3S", "3S".
std::string consecutive(const std::string& units) {
  std::string rest;
  std::vector<std::string> from;
  for (size_t i = units.size(); i-- > 0;) {
    rest = fmt::format("[0-9]{{1,18}}{}{}", units[i],
                       rest.empty() ? "" : fmt::format("(?:{})?", rest));
    from.push_back(rest);
  }
  return choice(from);
}

std::string duration() {
  const std::string time = "T" + consecutive("HMS");
  return "P(?:[0-9]{1,18}W|" + consecutive("YMD") + "(?:" + time + ")?|" + time + ")";
}

const std::string kOctet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const std::string kIpv4 = kOctet + "(?:\\." + kOctet + "){3}";
const std::string kGroup = "[0-9A-Fa-f]{1,4}";

// "::" stands for at least `least` groups of zeros; the last two groups may be an IPv4 address.
std::string ipv6(int least) {
  const std::string last = choice({kGroup + ":" + kGroup, kIpv4});
  std::vector<std::string> forms{fmt::format("(?:{}:){{6}}{}", kGroup, last)};
  for (int before = 0; before <= 8 - least; ++before) {
    const std::string head =
        before == 0 ? "" : fmt::format("{0}(?::{0}){{{1}}}", kGroup, before - 1);
    const int most = 8 - least - before;  // groups behind "::"
    std::vector<std::string> tails{""};
    if (most >= 1) tails.push_back(kGroup);
    if (most >= 2) tails.push_back(fmt::format("(?:{}:){{0,{}}}{}", kGroup, most - 2, last));
    forms.push_back(head + "::" + choice(tails));
  }
  return choice(forms);
}

// At most `length` letters, digits and hyphens: no hyphen first or last, nor both third and fourth
// (an A-label or one that is reserved, RFC 5891).
std::string label(int length) {
  return fmt::format("{0}(?:{0}|{1}{0}|{1}{1}{0}|{1}(?:{0}{1}|-{0}){1}{{0,{2}}}{0})?",
                     "[A-Za-z0-9]", "[A-Za-z0-9-]", length - 5);
}

// At most `few` labels of any length, or `many` of at most 31 characters: no small automaton counts
// the characters of each label and of the whole name at once.
std::string domain(int few, int many) {
  return fmt::format("(?:{0}(?:\\.{0}){{0,{1}}}|{2}(?:\\.{2}){{0,{3}}})", label(63), few - 1,
                     label(31), many - 1);
}

std::string email() {
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
  // At most 64 characters each.
  const std::string local =
      choice({atom + "{1,64}", fmt::format("{0}{{1,32}}(?:\\.{0}{{1,15}}){{1,2}}", atom),
              fmt::format("{0}{{1,15}}(?:\\.{0}{{1,15}}){{3}}", atom),
              "\"(?:[ !#-\\[\\]-~]|\\\\[ -~]){0,31}\""});
  // The "::" of an address in brackets is of two groups or more.
  const std::string literal = "\\[" + choice({kIpv4, "IPv6:" + ipv6(2)}) + "\\]";
  return local + "@" + choice({domain(2, 5), literal});  // at most 224 characters
}

// A URI's parts by their names in RFC 3986.
const std::string kPercent = "%[0-9A-Fa-f]{2}";
const std::string kName = "(?:[A-Za-z0-9._~!$&'()*+,;=-]|" + kPercent + ")";
const std::string kUserInfo = "(?:[A-Za-z0-9._~!$&'()*+,;=:-]|" + kPercent + ")";
const std::string kSegment = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|" + kPercent + ")";
const std::string kTail = fmt::format("(?:\\?(?:{0}|[/?])*)?(?:#(?:{0}|[/?])*)?", kSegment);

std::string authority() {
  return "//(?:" + kUserInfo + "*@)?" + choice({kName + "*", "\\[" + ipv6(1) + "\\]"}) +
         "(?::[0-9]{1,5})?(?:/" + kSegment + "*)*";
}

std::string uri() {
  return "[A-Za-z][A-Za-z0-9+.-]{0,20}:" +
         choice({authority(), fmt::format("/?{0}+(?:/{0}*)*", kSegment)}) + kTail;
}

std::string uri_reference() {
  // The first segment of a relative path has no colon, which would end a scheme.
  const std::string relative = choice({authority(), fmt::format("/(?:{0}+(?:/{0}*)*)?", kSegment),
                                       fmt::format("(?:@|{})+(?:/{}*)*", kName, kSegment), ""});
  return choice({uri(), relative + kTail});
}

const std::string kJsonPointer = "(?:/(?:[^/~]|~[01])*)*";

}  // namespace

const char* format_pattern(const std::string& format) {
  static const std::map<std::string, std::string> patterns{
      {"date", kDate},
      {"time", kTime},
      {"date-time", kDate + "[Tt]" + kTime},
      {"duration", duration()},
      {"uuid", "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"},
      {"email", email()},
      {"hostname", domain(3, 7)},
      {"ipv4", kIpv4},
      {"ipv6", ipv6(1)},
      {"uri", uri()},
      {"uri-reference", uri_reference()},
      {"json-pointer", kJsonPointer},
      {"relative-json-pointer", "(?:0|[1-9][0-9]{0,17})(?:#|" + kJsonPointer + ")"},
  };
  const auto it = patterns.find(format);
  return it == patterns.end() ? nullptr : it->second.c_str();
}

}  // namespace mica::grammar
