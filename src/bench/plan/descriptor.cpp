#include "bench/plan/descriptor.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/spelling.h"
#include "bench/plan/numbers.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Whether a row is about what is asked; what is not known fits only rows that don't ask for it.
bool is_about(const CapabilityRow& row, const CapabilityQuestion& question) {
  if (!row.formats.empty() && !has(row.formats, question.format)) return false;
  if (!row.quantizations.empty() && !has(row.quantizations, question.quantization)) return false;
  if (row.multi_gpu && *row.multi_gpu != (question.gpus > 1)) return false;
  const bool any_compute = row.compute.low == 0 && row.compute.high >= 10'000;
  if (any_compute) return true;
  return question.compute > 0 && question.compute >= row.compute.low &&
         question.compute <= row.compute.high;
}

}  // namespace

const char* name(CapabilityRow::State state) {
  switch (state) {
    case CapabilityRow::State::kWorks: return "works";
    case CapabilityRow::State::kLimited: return "limited";
    case CapabilityRow::State::kRefused: return "refused";
  }
  MICA_CHECK(false);
}

std::vector<std::string> BackendSetting::flags() const {
  std::vector<std::string> all = same;
  const auto add = [&](const std::vector<std::string>& from) {
    for (const std::string& word : from)
      if (word.size() > 1 && word[0] == '-') all.push_back(word);
  };
  add(words);
  add(remote);
  add(on);
  add(off);
  for (const auto& [choice, from] : choices) add(from);
  return all;
}

void BackendSetting::check(const std::string& value, const std::string& place) const {
  const auto fail = [&](const std::string& wanted) {
    throw Error(ErrorKind::kUsage, "[plan] {}: {}: expected {}, found '{}'", place, name, wanted,
                value);
  };
  switch (type) {
    case Type::kInteger:
      if (!parse_integer(value)) fail("an integer");
      break;
    case Type::kNumber:
      if (!parse_number(value)) fail("a number");
      break;
    case Type::kFraction:
      if (const auto number = parse_number(value); !number || *number <= 0 || *number > 1)
        fail("a share above 0 and at most 1");
      break;
    case Type::kBoolean:
      if (!parse_boolean(value)) fail("true or false");
      break;
    case Type::kChoice:
      if (!choices.contains(value)) {
        std::string all;
        for (const auto& choice : choices) all += (all.empty() ? "" : ", ") + choice.first;
        fail("one of " + all);
      }
      break;
    case Type::kText:
    case Type::kList:
    case Type::kWords: break;
  }
}

const BackendSetting* BackendDescriptor::setting(const std::string& name) const {
  for (const BackendSetting& setting : settings)
    if (setting.name == name || has(setting.also, name)) return &setting;
  return nullptr;
}

std::vector<std::string> BackendDescriptor::setting_names() const {
  std::vector<std::string> names;
  for (const BackendSetting& setting : settings) {
    names.push_back(setting.name);
    names.insert(names.end(), setting.also.begin(), setting.also.end());
  }
  return names;
}

BackendTable::BackendTable() {
  for (const EmbeddedDescriptor& embedded : embedded_descriptors())
    add(parse_descriptor(embedded.text, "backend " + std::string(embedded.name)));
}

void BackendTable::add(BackendDescriptor descriptor) {
  for (BackendDescriptor& known : all_)
    if (known.name == descriptor.name) {
      known = std::move(descriptor);
      return;
    }
  all_.push_back(std::move(descriptor));
}

void BackendTable::add_folder(const fs::path& folder) {
  std::error_code failed;
  std::vector<fs::path> files;
  fs::directory_iterator entry(folder, failed), end;
  for (; !failed && entry != end; entry.increment(failed))
    if (entry->path().extension() == ".yaml") files.push_back(entry->path());
  if (failed)
    throw Error(ErrorKind::kUsage, "[plan] {}: the folder of backends can't be read: {}",
                folder.string(), failed.message());
  std::sort(files.begin(), files.end());
  constexpr size_t kMaxBytes = size_t{1} << 20;
  for (const fs::path& file : files)
    add(parse_descriptor(read_text_file(file, kMaxBytes), file.string()));
}

const BackendDescriptor* BackendTable::find(const std::string& name) const {
  for (const BackendDescriptor& backend : all_)
    if (backend.name == name || has(backend.also, name)) return &backend;
  return nullptr;
}

const BackendDescriptor& BackendTable::get(const std::string& name) const {
  if (const BackendDescriptor* found = find(name)) return *found;
  std::string all;
  for (const BackendDescriptor& backend : all_) all += (all.empty() ? "" : ", ") + backend.name;
  throw Error(ErrorKind::kUsage, "[plan] '{}' is no backend{}; there are {}", name,
              meant_instead(name, names()), all);
}

std::vector<std::string> BackendTable::names() const {
  std::vector<std::string> names;
  for (const BackendDescriptor& backend : all_) {
    names.push_back(backend.name);
    names.insert(names.end(), backend.also.begin(), backend.also.end());
  }
  return names;
}

const CapabilityRow* find_capability(const BackendDescriptor& backend,
                                     const CapabilityQuestion& question) {
  for (const CapabilityRow& row : backend.capabilities)
    if (is_about(row, question)) return &row;
  return nullptr;
}

std::vector<std::string> capable_backends(const BackendTable& table,
                                          const CapabilityQuestion& question,
                                          const std::string& except) {
  std::vector<std::string> works, limited;
  for (const BackendDescriptor& backend : table.all()) {
    if (backend.name == except || !has(backend.formats, question.format)) continue;
    const CapabilityRow* row = find_capability(backend, question);
    if (!row || row->state == CapabilityRow::State::kRefused) continue;
    (row->state == CapabilityRow::State::kWorks ? works : limited).push_back(backend.name);
  }
  works.insert(works.end(), limited.begin(), limited.end());
  return works;
}

}  // namespace mica
