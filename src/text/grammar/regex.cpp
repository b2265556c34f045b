#include "text/grammar/regex.h"

#include <algorithm>

#include "base/error.h"
#include "text/grammar/regex_parser.h"

namespace mica::grammar {
namespace {

// Takes the anchors out of an expression: every alternative becomes one that matches the whole
// text.
class AnchorResolver {
 public:
  AnchorResolver(Grammar& grammar, const RegexParser& parser, bool search)
      : grammar_(grammar), parser_(parser), search_(search) {}

  ExprId run(ExprId id) {
    std::vector<std::vector<ExprId>> pending{{id}};
    std::vector<ExprId> out;
    size_t work = 0;
    while (!pending.empty()) {
      std::vector<ExprId> items = std::move(pending.back());
      pending.pop_back();
      if (++work > 10000) parser_.fail("too many alternatives with anchors");
      const bool opened =
          !items.empty() && (open(items, 0, pending) || open(items, items.size() - 1, pending));
      if (!opened) out.push_back(whole(std::move(items)));
    }
    std::reverse(out.begin(), out.end());
    return grammar_.choice(std::move(out));
  }

 private:
  bool is_anchor(ExprId id) const { return id == parser_.begin() || id == parser_.end(); }

  // Replaces a group with anchors at the first or last place by what is in it.
  bool open(const std::vector<ExprId>& items, size_t at,
            std::vector<std::vector<ExprId>>& pending) {
    if (is_anchor(items[at]) || !parser_.anchored(items[at])) return false;
    const Expr& group = grammar_.exprs[static_cast<size_t>(items[at])];
    const auto put = [&](const std::vector<ExprId>& inner) {
      std::vector<ExprId> next(items.begin(), items.begin() + static_cast<ptrdiff_t>(at));
      next.insert(next.end(), inner.begin(), inner.end());
      next.insert(next.end(), items.begin() + static_cast<ptrdiff_t>(at) + 1, items.end());
      pending.push_back(std::move(next));
    };
    if (group.kind == ExprKind::kSequence) return put(group.children), true;
    if (group.kind != ExprKind::kChoice) parser_.fail("an anchor can't be repeated");
    for (const ExprId child : group.children) put({child});
    return true;
  }

  ExprId whole(std::vector<ExprId> items) {
    const auto any = [&] {
      return grammar_.repeat(grammar_.one_of(CodePoints::all()), 0, kNoMaximum);
    };
    bool from_begin = !search_, to_end = !search_;
    size_t first = 0, last = items.size();
    for (; first < last && items[first] == parser_.begin(); first++) from_begin = true;
    for (; first < last && items[last - 1] == parser_.end(); last--) to_end = true;
    std::vector<ExprId> out;
    if (!from_begin) out.push_back(any());
    for (size_t i = first; i < last; i++) {
      if (parser_.anchored(items[i]))
        parser_.fail("an anchor between characters is not supported: ^ begins and $ ends the text");
      out.push_back(items[i]);
    }
    if (!to_end) out.push_back(any());
    return grammar_.sequence(std::move(out));
  }

  Grammar& grammar_;
  const RegexParser& parser_;
  const bool search_;
};

}  // namespace

ExprId parse_regex(Grammar& grammar, std::string_view pattern, bool search,
                   const std::string& place) {
  RegexParser parser(grammar, pattern, place);
  const ExprId parsed = parser.parse();
  return AnchorResolver(grammar, parser, search).run(parsed);
}

}  // namespace mica::grammar
