// mica images: the images of the backends: which there are, where they came from, how they go.
#include "bench/launch/images.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "bench/launch/ownership.h"
#include "bench/launch/registry.h"
#include "bench/plan/images.h"
#include "bench/report/table.h"
#include "cli/commands.h"
#include "cli/launch_console.h"
#include "cli/plan_inputs.h"

namespace mica {
namespace {

struct ImagesFlags {
  PlanInputs inputs;
  std::string docker = "docker", wanted;
  bool anew = false, write = false, yes = false;
  RegistryQuestion question;
};

std::string size_text(uint64_t bytes) {
  return fmt::format("{:.{}f} GB", static_cast<double>(bytes) / 1e9, bytes < 100'000'000 ? 3 : 1);
}

// A build is for the GPUs that are here; otherwise nothing needs to know them.
std::vector<NamedImage> configured(const ImagesFlags& flags) {
  const BackendTable table = backend_table(flags.inputs);
  return named_images(table, models_file(flags.inputs, table), plan_facts(flags.inputs));
}

// Those of the backend of this name.
std::vector<NamedImage> images_of(const ImagesFlags& flags) {
  const BackendTable table = backend_table(flags.inputs);
  const std::string backend = table.get(flags.wanted).name;
  std::vector<NamedImage> images = configured(flags);
  std::erase_if(images, [&](const NamedImage& image) { return image.backend != backend; });
  if (images.empty())
    throw Error(ErrorKind::kUsage, "[images] {} has no image: it runs as a process", backend);
  return images;
}

void list(const ImagesFlags& flags) {
  const Docker docker(flags.docker);
  docker.preflight(/*gpus=*/false);
  const std::vector<ImageRecord> records = ImageRecords(default_state_folder()).all();
  Table table;
  table.columns = {{"backend", false}, {"image", false},  {"size", true},
                   {"created", false}, {"digest", false}, {"by", false}};
  std::set<std::string> counted;
  uint64_t total = 0;
  const auto add = [&](const std::string& backend, const std::string& name,
                       const std::optional<ImageFacts>& facts) {
    if (!facts) {
      table.rows.push_back({backend, name, "", "", "", "not here"});
      return;
    }
    std::string by;
    for (const ImageRecord& record : records)
      if (record.id == facts->id) by = record.built ? "built by Mica" : "pulled by Mica";
    if (counted.insert(facts->id).second) total += facts->bytes;
    const size_t at = facts->digest.find('@');
    table.rows.push_back({backend, name, size_text(facts->bytes), facts->created.substr(0, 10),
                          at == std::string::npos ? "" : facts->digest.substr(at + 1, 19), by});
  };
  for (const NamedImage& image : configured(flags))
    add(image.backend, image.chosen.image.value, docker.image(image.chosen.name()));
  // What an earlier configuration named.
  for (const ImageRecord& record : records)
    if (!counted.contains(record.id))
      if (const auto facts = docker.image(record.id))
        add(record.backend, record.name + " (named no more)", facts);
  std::fputs(to_text(table).c_str(), stdout);
  std::printf("%s in %zu images\n", size_text(total).c_str(), counted.size());
}

void obtain(const ImagesFlags& flags, const ImageWanted& wanted) {
  const Docker docker(flags.docker);
  docker.preflight(/*gpus=*/false);
  log_info("[images] {} {}", wanted.build ? "building" : "pulling", wanted.name);
  const Interrupts interrupts;
  const ImageFacts image = obtain_image(
      docker, wanted, flags.anew, ImageRecords(default_state_folder()),
      [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); },
      interrupts.token());
  std::printf("%s  %s\n", image.pinned().c_str(), size_text(image.bytes).c_str());
}

void pull(const ImagesFlags& flags) {
  const BackendTable table = backend_table(flags.inputs);
  if (!table.find(flags.wanted)) return obtain(flags, {flags.wanted, "", false, {}});
  for (const NamedImage& image : images_of(flags)) {
    if (image.chosen.build)
      log_warning("[images] {} is built, not pulled: mica images build {}", image.chosen.name(),
                  image.backend);
    else
      obtain(flags, wanted_image(image));
  }
}

void build(const ImagesFlags& flags) {
  bool any = false;
  for (const NamedImage& image : images_of(flags)) {
    if (!image.chosen.build) continue;
    any = true;
    for (const PlanVariable& argument : image.chosen.arguments)
      log_info("[images] {}={}", argument.name, argument.secret ? "***" : argument.value);
    obtain(flags, wanted_image(image));
  }
  if (!any)
    throw Error(ErrorKind::kUsage,
                "[images] no image of {} is built: write `image_type: build` or `pr: "
                "NUMBER@COMMIT` for it into the models file; `mica images pull {}` pulls it",
                flags.wanted, flags.wanted);
}

void pin(const ImagesFlags& flags) {
  const Docker docker(flags.docker);
  docker.preflight(/*gpus=*/false);
  std::map<std::string, std::string> pins;
  std::string lines;
  for (const NamedImage& image : images_of(flags)) {
    const ChosenImage& chosen = image.chosen;
    if (chosen.build) {
      log_warning("[images] {} is built here: no registry has a digest of it", chosen.name());
      continue;
    }
    const auto facts = docker.image(chosen.name());
    if (!facts || facts->digest.empty())
      throw Error(
          ErrorKind::kUsage, "[images] {} {}", chosen.name(),
          facts ? "has no digest: it came from no registry"
                : "is not here, so its digest is not known: mica images pull " + image.backend);
    const std::string digest = facts->digest.substr(facts->digest.find('@') + 1);
    pins[chosen.image.value] = digest;
    lines +=
        fmt::format("# {}\ndefaults:\n  backends:\n    {}:\n      image: {}\n      digest: {}\n",
                    image.user, image.backend, chosen.image.value, digest);
  }
  if (!flags.write) {
    std::fputs(lines.c_str(), stdout);
    return;
  }
  const auto path = write_pins(pins);
  for (const auto& [image, digest] : pins)
    std::printf("%s: %s  (%s)\n", image.c_str(), digest.c_str(), path.c_str());
}

bool agreed(const ImagesFlags& flags) {
  if (flags.yes) return true;
  if (::isatty(STDIN_FILENO) != 1)
    throw Error(ErrorKind::kUsage, "[images] nobody is there to be asked; --yes removes them");
  std::printf("remove them? [y/N] ");
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

void prune(const ImagesFlags& flags) {
  const Docker docker(flags.docker);
  docker.preflight(/*gpus=*/false);
  const ImageRecords records(default_state_folder());
  std::vector<std::pair<ImageRecord, uint64_t>> found;
  uint64_t total = 0;
  for (const ImageRecord& record : records.all()) {
    const auto facts = docker.image(record.id);
    if (!facts) {
      records.remove(record.id);
      continue;
    }
    found.emplace_back(record, facts->bytes);
    total += facts->bytes;
    std::printf("%s  %s  %s %s\n", record.name.c_str(), size_text(facts->bytes).c_str(),
                record.built ? "built" : "pulled", record.created.c_str());
  }
  if (found.empty()) {
    std::printf("Mica brought no image that is still here\n");
    return;
  }
  std::printf("%s in %zu images; layers that others share stay\n", size_text(total).c_str(),
              found.size());
  if (!agreed(flags)) return;
  uint64_t freed = 0;
  bool all = true;
  for (const auto& [record, bytes] : found) {
    const std::string problem = docker.remove_image(record.id);
    if (problem.empty()) {
      records.remove(record.id);
      freed += bytes;
    } else {
      all = false;
      log_warning("[images] {} stays: {}", record.name, problem);
    }
  }
  std::printf("removed: %s\n", size_text(freed).c_str());
  if (!all) throw Ending{exit_status(ErrorKind::kBackend)};
}

void nightly(const ImagesFlags& flags) {
  RegistryQuestion question = flags.question;
  question.image = flags.wanted;
  const BackendTable table = backend_table(flags.inputs);
  if (const BackendDescriptor* backend = table.find(flags.wanted)) {
    if (!backend->docker)
      throw Error(ErrorKind::kUsage, "[images] {} has no image: it runs as a process",
                  backend->name);
    question.image = backend->docker->image;
  }
  const std::vector<RegistryTag> tags = registry_tags(question);
  if (tags.empty())
    throw Error(ErrorKind::kUsage, "[images] {}: no tag has '{}' in its name; --match '' takes all",
                question.image, question.part);
  Table rows;
  rows.columns = {{"tag", false}, {"updated", false}, {"sent", true}, {"digest", false}};
  for (const RegistryTag& tag : tags)
    rows.rows.push_back(
        {tag.name, tag.updated.substr(0, 16), tag.bytes ? size_text(tag.bytes) : "", tag.digest});
  std::fputs(to_text(rows).c_str(), stdout);
}

}  // namespace

void add_images_command(CLI::App& app) {
  auto flags = std::make_shared<ImagesFlags>();
  flags->question.part = "nightly";
  CLI::App* command =
      app.add_subcommand("images", "List, pull, build, pin and remove images of backends");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, void (*run)(const ImagesFlags&),
                       const char* wanted) {
    CLI::App* sub = command->add_subcommand(name, about);
    if (wanted) sub->add_option("image", flags->wanted, wanted)->required();
    sub->add_option("--docker", flags->docker, "Docker's program")->capture_default_str();
    add_config_flags(*sub, flags->inputs);
    sub->callback([flags, run] { run(*flags); });
    return sub;
  };
  add("list", "Those that the configuration names, those that Mica brought, and their disk", list,
      nullptr);
  add("pull", "From its registry", pull, "Backend, or an image's name");
  CLI::App* builder = add("build", "For the GPUs of this machine, or with a pull request laid over",
                          build, "Backend");
  builder->add_flag("--no-cache", flags->anew, "All layers anew");
  builder
      ->add_option("--assume-gpu", flags->inputs.gpus,
                   "Build for these instead of this machine's, as 2x96GB@12.0; repeatable")
      ->allow_extra_args(false);
  add("pin", "Print the lines of the models file that fix an image's digest", pin, "Backend")
      ->add_flag("--write", flags->write, "Write it into ~/.config/mica/pins.yaml instead");
  add("prune", "Remove images that Mica pulled or built, and no others", prune, nullptr)
      ->add_flag("-y,--yes", flags->yes, "Without a question");
  CLI::App* tags = add("nightly", "Tags that the registry has, the newest first", nightly,
                       "Backend, or an image's name");
  tags->add_option("--match", flags->question.part, "Only tags with this in their name")
      ->capture_default_str();
  tags->add_option("-n,--limit", flags->question.limit, "So many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  tags->add_option("--registry", flags->question.url, "URL to ask instead of the image's registry");
}

}  // namespace mica
