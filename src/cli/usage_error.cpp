#include "cli/usage_error.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/quote.h"
#include "base/spelling.h"

namespace mica {
namespace {

using Words = std::vector<std::string>;

// The commands that were understood, outermost first.
std::vector<const CLI::App*> understood(const CLI::App& app) {
  std::vector<const CLI::App*> path = {&app};
  while (!path.back()->get_subcommands().empty())
    path.push_back(path.back()->get_subcommands().front());
  return path;
}

const CLI::Option* option_of(const std::vector<const CLI::App*>& path, const std::string& flag) {
  for (const CLI::App* app : path)
    if (const CLI::Option* option = app->get_option_no_throw(flag)) return option;
  return nullptr;
}

Words flags_of(const std::vector<const CLI::App*>& path) {
  Words flags;
  for (const CLI::App* app : path)
    for (const CLI::Option* option : app->get_options())
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  return flags;
}

Words commands_of(const CLI::App& app) {
  Words names;
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(each->get_name());
  return names;
}

std::string spoken(const std::vector<const CLI::App*>& path) {
  std::string text;
  for (const CLI::App* app : path) text += (text.empty() ? "" : " ") + app->get_name();
  return text;
}

}  // namespace

std::string unknown_words(const CLI::App& app, const Words& given) {
  const auto path = understood(app);
  const Words commands = commands_of(*path.back());
  std::string text;
  size_t level = 1;  // of the path, that a word may name next
  for (size_t i = 0; i < given.size() && given[i] != "--"; ++i) {
    const std::string& word = given[i];
    if (word.size() > 1 && word[0] == '-') {
      const std::string flag = word.substr(0, word.find('='));
      const CLI::Option* option = option_of(path, flag);
      if (option && flag == word && option->get_expected_min() > 0) ++i;  // its value
      if (option || !flag.starts_with("--")) continue;
      text += fmt::format("{}{} is no flag of `{}`{}", text.empty() ? "" : "\n", in_quotes(flag),
                          spoken(path), meant_instead(flag, flags_of(path)));
    } else if (level < path.size()) {
      if (path[level]->get_name() == word) ++level;
    } else if (!commands.empty()) {
      return fmt::format("{} is no command of `{}`{}", in_quotes(word), spoken(path),
                         meant_instead(word, commands));
    }
  }
  if (!text.empty()) return text;
  for (const std::string& word : app.remaining(/*recurse=*/true)) text += " " + in_quotes(word);
  return text.empty() ? "" : "not expected:" + text;
}

}  // namespace mica
