#include "bench/launch/images.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "bench/launch/ownership.h"

namespace mica {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxRecord = 1 << 16;  // bytes

// "sha256:ab…" as a file's name.
fs::path file_name(std::string id) {
  std::replace_if(
      id.begin(), id.end(), [](unsigned char c) { return !std::isalnum(c); }, '-');
  return id + ".json";
}

ImageBuild build_of(const std::string& context, const std::string& file,
                    const std::string& dockerfile, const std::vector<PlanVariable>& arguments) {
  ImageBuild build{context, file, dockerfile, {}};
  for (const PlanVariable& variable : arguments)
    build.arguments.push_back({variable.name, variable.value, variable.secret});
  return build;
}

}  // namespace

ImageRecords::ImageRecords(const fs::path& state_folder) : folder_(state_folder / "images") {}

void ImageRecords::write(const ImageRecord& record) const {
  fs::create_directories(folder_);
  const json value = {{"id", record.id},
                      {"name", record.name},
                      {"backend", record.backend},
                      {"built", record.built},
                      {"created", record.created}};
  write_text_file(folder_ / file_name(record.id), value.dump(2) + "\n");
}

void ImageRecords::remove(const std::string& id) const {
  std::error_code ignored;
  fs::remove(folder_ / file_name(id), ignored);
}

std::vector<ImageRecord> ImageRecords::all() const {
  std::vector<ImageRecord> records;
  std::error_code failed;
  fs::directory_iterator it(folder_, failed);
  for (const fs::directory_iterator end; !failed && it != end; it.increment(failed)) {
    if (it->path().extension() != ".json") continue;
    try {
      const json value = json::parse(read_text_file(it->path(), kMaxRecord));
      records.push_back({value.at("id"), value.at("name"), value.at("backend"), value.at("built"),
                         value.at("created")});
    } catch (const std::exception&) {
      continue;  // not written by Mica, or of a later one
    }
  }
  std::sort(records.begin(), records.end(), [](const ImageRecord& a, const ImageRecord& b) {
    return std::tie(a.created, a.name) < std::tie(b.created, b.name);
  });
  return records;
}

ImageWanted wanted_image(const LaunchPlan& plan) {
  return {plan.digest.empty() ? plan.image.value : plan.image.value + "@" + plan.digest,
          plan.backend, plan.build,
          build_of(plan.build_context, plan.build_file, plan.dockerfile, plan.build_arguments)};
}

ImageWanted wanted_image(const NamedImage& image) {
  const ChosenImage& chosen = image.chosen;
  return {chosen.name(), image.backend, chosen.build,
          build_of(chosen.context, chosen.file, chosen.dockerfile, chosen.arguments)};
}

ImageFacts obtain_image(const Docker& docker, const ImageWanted& wanted, bool anew,
                        const ImageRecords& records, const Docker::Line& progress,
                        std::stop_token stop) {
  const auto before = docker.image(wanted.name);
  ImageFacts now = wanted.build ? docker.build(wanted.name, wanted.how, anew, progress, stop)
                                : docker.pull(wanted.name, progress, stop);
  if (!before || before->id != now.id)
    records.write({now.id, wanted.name, wanted.backend, wanted.build, utc_seconds()});
  return now;
}

}  // namespace mica
