// mica convert: a checkpoint in another engine's format.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

#include "base/error.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "checkpoint/hub/hub.h"
#include "cli/commands.h"
#include "cli/convert/convert_gguf.h"
#include "cli/module_kind.h"

namespace mica {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  std::string model, to, output, name, type, tokenizer_pre;
  double max_change = 0;
  int threads = 0;
  bool overwrite = false, offline = false;
};

// Tensors of one kind that came from one format and went into one type.
struct Row {
  int64_t tensors = 0, weights = 0, changed = 0;
  double largest_change = 0;
  size_t bytes = 0;

  void add(const GgufPlanItem& item) {
    ++tensors;
    weights += item.fit.weights;
    changed += item.fit.changed;
    largest_change = std::max(largest_change, item.fit.largest_change);
    bytes += gguf_bytes(item.fit.type, item.shape);
  }
  std::string exactness() const {
    if (changed == 0) return "exact";
    return fmt::format("{} changed ({:.2g} %), by {:.2g} of the largest at most", changed,
                       100.0 * static_cast<double>(changed) / static_cast<double>(weights),
                       largest_change);
  }
};

void print_row(const std::string& kind, const std::string& from, const std::string& to,
               const Row& row) {
  std::printf("%-28s %-16s %-6s %7lld %12.3f MB  %s\n", kind.c_str(), from.c_str(), to.c_str(),
              static_cast<long long>(row.tensors), static_cast<double>(row.bytes) / 1e6,
              row.exactness().c_str());
}

void print_report(const ConvertReport& report, const std::string& output) {
  std::map<std::tuple<std::string, std::string, std::string>, Row> rows;
  Row all;
  size_t as_f32 = 0;
  for (const GgufPlanItem& item : report.items) {
    rows[{kind_of(item.name), item.source, gguf_type(item.fit.type).name}].add(item);
    all.add(item);
    const bool widened = item.fit.type == GgufType::kF32 && item.source.rfind("affine", 0) == 0;
    if (widened) as_f32 += gguf_bytes(item.fit.type, item.shape);
  }
  std::printf("%-28s %-16s %-6s %7s %15s  weights\n", "tensors", "from", "to", "number", "bytes");
  for (const auto& [key, row] : rows)
    print_row(std::get<0>(key), std::get<1>(key), std::get<2>(key), row);
  print_row("all", "", "", all);
  std::printf("%s: %.3f GB\n", output.c_str(), static_cast<double>(report.file_bytes) / 1e9);
  if (as_f32 > 0)
    std::printf(
        "%.3f GB are F32, as no smaller type holds those weights exactly; --max-change 5e-4 would "
        "store them as F16.\n",
        static_cast<double>(as_f32) / 1e9);
}

void show_progress(size_t done, size_t total) {
  if (::isatty(STDERR_FILENO))
    std::fprintf(stderr, "\r%3.0f %%%s",
                 100.0 * static_cast<double>(done) / static_cast<double>(total),
                 done == total ? "\r" : "");
}

// The last part of a path or id, as general.name.
std::string model_name(const ConvertFlags& flags) {
  if (!flags.name.empty()) return flags.name;
  fs::path path = flags.model;
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

void check_output(const ConvertFlags& flags) {
  std::error_code failed;
  const fs::path output = flags.output;
  if (fs::is_directory(output, failed))
    throw Error(ErrorKind::kUsage,
                "[convert] --output {}: expected the name of a file, is a folder", flags.output);
  if (fs::exists(output, failed) && !flags.overwrite)
    throw Error(ErrorKind::kUsage, "[convert] --output {}: exists; --overwrite replaces it",
                flags.output);
}

void convert(const ConvertFlags& flags) {
  check_output(flags);
  HubOptions hub = hub_options_from_environment();
  hub.offline = hub.offline || flags.offline;
  ConvertOptions options;
  options.directory = resolve_model(flags.model, hub);
  options.output = flags.output;
  options.name = model_name(flags);
  options.tokenizer_pre = flags.tokenizer_pre;
  options.types.max_change = flags.max_change;
  options.types.threads = flags.threads;
  if (flags.type != "exact")
    options.types.type = flags.type == "f16"    ? GgufType::kF16
                         : flags.type == "bf16" ? GgufType::kBf16
                                                : GgufType::kF32;
  print_report(convert_to_gguf(options, show_progress), flags.output);
}

}  // namespace

void add_convert_command(CLI::App& app) {
  auto flags = std::make_shared<ConvertFlags>();
  flags->type = "exact";
  CLI::App* command = app.add_subcommand(
      "convert", "Write a checkpoint in another engine's format: the same weights, as GGUF");
  command->add_option("model,--model", flags->model, "Folder of a checkpoint, or a repository id")
      ->required();
  command->add_option("--to", flags->to, "The format: gguf")
      ->required()
      ->check(CLI::IsMember({"gguf"}));
  command->add_option("--output", flags->output, "The file to write")->required();
  command
      ->add_option("--max-change", flags->max_change,
                   "How far a weight may move so that a smaller type does, as a part of its "
                   "tensor's largest (default: 0, none moves)")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--type", flags->type,
                   "exact: the smallest that holds each tensor; f16, bf16, f32: all matrices")
      ->transform(CLI::IsMember({"exact", "f16", "bf16", "f32"}, CLI::ignore_case));
  command->add_option("--name", flags->name, "general.name (default: the model's)");
  command->add_option("--tokenizer-pre", flags->tokenizer_pre,
                      "tokenizer.ggml.pre, where Mica doesn't know the split of the text");
  command->add_option("--threads", flags->threads, "Threads (default: all)")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--overwrite", flags->overwrite, "Replace an existing file");
  command->add_flag("--offline", flags->offline, "Never ask the hub; use what is in its cache");
  command->callback([flags] { convert(*flags); });
}

}  // namespace mica
