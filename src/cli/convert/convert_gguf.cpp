#include "cli/convert/convert_gguf.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/disk_space.h"
#include "base/error.h"
#include "base/parallel.h"
#include "checkpoint/gguf/gguf_blocks.h"
#include "checkpoint/gguf/gguf_writer.h"
#include "cli/convert/gguf_metadata.h"
#include "cli/convert/gguf_tokenizer.h"

namespace mica {
namespace {

constexpr size_t kChunkBytes = size_t{16} << 20;  // that are encoded before they are written

// general.file_type, which readers only show: that of the type most bytes are in.
uint64_t file_type(const std::vector<GgufPlanItem>& items) {
  std::map<GgufType, size_t> bytes;
  for (const GgufPlanItem& item : items)
    bytes[item.fit.type] += gguf_bytes(item.fit.type, item.shape);
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  switch (most == bytes.end() ? GgufType::kF32 : most->first) {
    case GgufType::kF16: return 1;
    case GgufType::kQ4_0: return 2;
    case GgufType::kQ4_1: return 3;
    case GgufType::kQ8_0: return 7;
    case GgufType::kQ5_0: return 8;
    case GgufType::kQ5_1: return 9;
    case GgufType::kBf16: return 32;
    case GgufType::kMxfp4: return 38;
    default: return 0;
  }
}

class Conversion {
 public:
  Conversion(Checkpoint& checkpoint, GgufWriter& writer, int threads)
      : checkpoint_(checkpoint), writer_(writer), threads_(threads) {}

  void write(const GgufPlanItem& item) {
    if (!item.values.empty())
      return writer_.write(item.name, std::as_bytes(std::span(item.values)));
    const LinearWeights weights =
        checkpoint_.linear(item.path, item.rows, item.columns, item.experts);
    const size_t row_bytes = GgufRowEncoder(weights, item.fit.type).row_bytes();
    const auto rows = static_cast<size_t>(item.experts * item.rows);
    const size_t at_once = std::max<size_t>(1, kChunkBytes / row_bytes);
    for (size_t begin = 0; begin < rows; begin += at_once)
      write_rows(weights, item, begin, std::min(rows, begin + at_once), row_bytes);
    checkpoint_.release(weights);
  }

 private:
  // Rows [begin, end) of all experts.
  void write_rows(const LinearWeights& weights, const GgufPlanItem& item, size_t begin, size_t end,
                  size_t row_bytes) {
    chunk_.resize((end - begin) * row_bytes);
    for_chunks(end - begin, 64, threads_, [&](size_t from, size_t to) {
      GgufRowEncoder encoder(weights, item.fit.type);
      for (size_t i = from; i < to; ++i) {
        const auto row = static_cast<int64_t>(begin + i);
        const int64_t expert = row / item.rows;
        int64_t source = row % item.rows;
        if (!item.order.empty()) source = item.order[static_cast<size_t>(source)];
        MICA_CHECK(encoder.encode(expert, source, chunk_.data() + i * row_bytes));
      }
    });
    writer_.write(item.name, chunk_, begin * row_bytes);
  }

  Checkpoint& checkpoint_;
  GgufWriter& writer_;
  int threads_;
  std::vector<std::byte> chunk_;
};

const GgufArchitecture& architecture_of(const ModelConfig& config) {
  if (const GgufArchitecture* found = find_gguf_architecture(config.model_type)) return *found;
  throw Error(ErrorKind::kCheckpoint,
              "[convert] model_type: expected one of {} for GGUF, found '{}'",
              fmt::join(gguf_model_types(), ", "), config.model_type);
}

}  // namespace

ConvertReport convert_to_gguf(const ConvertOptions& options,
                              const std::function<void(size_t, size_t)>& progress) {
  ModelConfig config = load_model_config(options.directory);
  const GgufArchitecture& architecture = architecture_of(config);
  Checkpoint checkpoint(options.directory);
  adopt_stored(config, checkpoint);
  GgufMetadata metadata = gguf_model_metadata(config, architecture, options.name);
  for (auto& key : gguf_tokenizer_metadata(options.directory, config, options.tokenizer_pre))
    metadata.push_back(std::move(key));
  ConvertReport report;
  report.items = plan_gguf(checkpoint, config, architecture, options.types);
  metadata.emplace_back("general.file_type", gguf_u32(file_type(report.items)));
  std::vector<GgufWriter::Item> tensors;
  size_t total = 0, done = 0, bytes = 0;
  for (const GgufPlanItem& item : report.items) {
    tensors.push_back({item.name, item.fit.type, item.shape});
    total += static_cast<size_t>(item.fit.weights);
    bytes += gguf_bytes(item.fit.type, item.shape);
  }
  check_disk_space(std::filesystem::absolute(options.output).parent_path(), bytes,
                   fmt::format("[convert] --output {}", options.output.string()));
  GgufWriter writer(options.output, metadata, tensors);
  Conversion conversion(checkpoint, writer, options.types.threads);
  for (GgufPlanItem& item : report.items) {
    conversion.write(item);
    item.values.clear();
    done += static_cast<size_t>(item.fit.weights);
    if (progress) progress(done, total);
  }
  writer.finish();
  report.file_bytes = writer.file_bytes();
  return report;
}

}  // namespace mica
