#include "bench/load/prompt_sets.h"

#include <array>

#include "base/error.h"
#include "base/mix.h"

namespace mica {
namespace {

constexpr std::array kWho = {
    "The harbour master", "The old pilot",   "A fisherman from the north quay",
    "The schoolteacher",  "The baker's son", "Nobody but the night watchman",
    "The ferry's cook",   "A carpenter",     "The woman who mends the nets",
    "The doctor",         "A stranger",      "The keeper of the lighthouse"};
constexpr std::array kWhat = {"counted the boats",         "spoke of the coming storm",
                              "carried a crate of lemons", "looked for the lost oar",
                              "painted the railing",       "wrote a letter to the mainland",
                              "sold smoked herring",       "repaired the crane",
                              "waited for the mail",       "told the story of the two whales",
                              "swept the fish market",     "measured the depth of the channel"};
constexpr std::array kWhere = {"beside the customs house", "at the end of the long pier",
                               "under the willow",         "in front of the chapel",
                               "on the deck of the ferry", "behind the rope works",
                               "near the salt sheds",      "at the foot of the stairs"};
constexpr std::array kWhen = {
    "before the sun was up",       "while the fog lay on the water",
    "as the tide turned",          "on the day after the fair",
    "when the lamps had been lit", "in the week of the long rain",
    "shortly after the noon bell", "until the wind went round to the east"};
constexpr std::array kThen = {"and nobody asked why.",
                              "and the gulls made a great noise about it.",
                              "which took longer than anybody had thought.",
                              "as had been the custom for many years.",
                              "and the children watched from the wall.",
                              "although there was other work to do.",
                              "and went home without a word.",
                              "so that the dog began to bark."};

}  // namespace

std::vector<DatasetItem> prompt_set(const std::string& name, size_t limit) {
  std::string names;
  for (const EmbeddedPrompts& set : embedded_prompts()) {
    if (name == set.name)
      return parse_dataset(set.lines, DatasetFormat::kJsonLines, "prompt set " + name, limit);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", set.name);
  }
  if (std::filesystem::is_regular_file(name)) return read_dataset(name, limit);
  throw Error(ErrorKind::kUsage, "[prompts] expected a set of {} or a file, found '{}'", names,
              name);
}

std::string harbour_sentence(uint64_t key, uint64_t index) {
  uint64_t word = random_word(key, index);
  const auto pick = [&](const auto& list) {
    const char* text = list[word % list.size()];
    word /= list.size();
    return text;
  };
  const char* who = pick(kWho);
  const char* what = pick(kWhat);
  const char* where = pick(kWhere);
  const char* when = pick(kWhen);
  return fmt::format("{} {} {} {}, {}", who, what, where, when, pick(kThen));
}

}  // namespace mica
