#include "bench/eval/logit_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace mica {
namespace {

std::vector<int32_t> predicted_tokens(std::span<const int32_t> tokens,
                                      const std::vector<Window>& windows) {
  std::vector<int32_t> predicted;
  for (const Window& window : windows)
    predicted.insert(predicted.end(), tokens.begin() + static_cast<std::ptrdiff_t>(window.scored),
                     tokens.begin() + static_cast<std::ptrdiff_t>(window.end));
  return predicted;
}

std::string piece_name(size_t index) {
  return fmt::format("logits.{}", index);
}

// One tensor for each call of the sink.
std::vector<SafetensorsWriter::Item> items_of(int64_t vocab, const std::vector<Window>& windows,
                                              int64_t predicted) {
  std::vector<SafetensorsWriter::Item> items = {{"tokens", DType::kI32, {predicted}}};
  for (const Window& window : windows)
    for (size_t at = window.scored; at < window.end; at += kLogitRows)
      items.push_back({piece_name(items.size() - 1),
                       DType::kF32,
                       {static_cast<int64_t>(std::min(kLogitRows, window.end - at)), vocab}});
  return items;
}

}  // namespace

LogitFile::LogitFile(const std::filesystem::path& path, std::span<const int32_t> tokens,
                     const std::vector<Window>& windows, const WindowOptions& options)
    : file_(path) {
  const auto wrong = [&](const std::string& what) {
    throw Error(ErrorKind::kCheckpoint, "[eval] {}: {}; is it a file of --save-logits?",
                path.string(), what);
  };
  int64_t rows = 0;
  while (const SafetensorsEntry* piece = file_.find(piece_name(pieces_.size()))) {
    if (piece->dtype != DType::kF32 || piece->shape.rank() != 2)
      wrong(fmt::format("expected '{}' as F32 of two dimensions", piece->name));
    if (vocab_ != 0 && piece->shape[1] != vocab_)
      wrong(fmt::format("expected '{}' with {} columns, found {}", piece->name, vocab_,
                        piece->shape[1]));
    vocab_ = piece->shape[1];
    rows += piece->shape[0];
    pieces_.push_back(piece);
  }
  if (pieces_.empty() || vocab_ == 0) wrong("expected a tensor 'logits.0', found none");
  const SafetensorsEntry* held = file_.find("tokens");
  if (!held || held->dtype != DType::kI32 || held->shape.elements() != rows)
    wrong(fmt::format("expected 'tokens' as I32 of {} elements, one for each row", rows));
  check_windows(options);
  check_tokens(tokens, windows);
}

void LogitFile::check_windows(const WindowOptions& options) const {
  for (const auto& [name, value] :
       {std::pair("context", options.context), std::pair("stride", options.stride)}) {
    const auto found = file_.header().metadata.find(name);
    if (found != file_.header().metadata.end() && found->second != fmt::format("{}", value))
      throw Error(ErrorKind::kUsage, "[eval] {}: its {} is {}, this one's is {}",
                  file_.path().string(), name, found->second, value);
  }
}

void LogitFile::check_tokens(std::span<const int32_t> tokens,
                             const std::vector<Window>& windows) const {
  const SafetensorsEntry& entry = *file_.find("tokens");
  std::vector<int32_t> held(static_cast<size_t>(entry.shape.elements()));
  std::memcpy(held.data(), file_.view(entry).data, entry.bytes);
  if (held != predicted_tokens(tokens, windows))
    throw Error(ErrorKind::kUsage,
                "[eval] {}: its tokens are others than the text's: another text, tokenizer or "
                "number of tokens?",
                file_.path().string());
}

std::span<const float> LogitFile::append(std::span<const int32_t> tokens) {
  const auto columns = static_cast<size_t>(vocab_);
  rows_.resize(tokens.size() * columns);
  for (size_t done = 0; done < tokens.size();) {
    while (piece_ < pieces_.size() && row_ == static_cast<size_t>(pieces_[piece_]->shape[0])) {
      ++piece_;
      row_ = 0;
    }
    MICA_CHECK(piece_ < pieces_.size());
    const SafetensorsEntry& piece = *pieces_[piece_];
    const size_t count = std::min(tokens.size() - done, static_cast<size_t>(piece.shape[0]) - row_);
    const auto* data = static_cast<const std::byte*>(file_.view(piece).data);
    std::memcpy(rows_.data() + done * columns, data + row_ * columns * sizeof(float),
                count * columns * sizeof(float));
    done += count;
    row_ += count;
  }
  return rows_;
}

LogitFileWriter::LogitFileWriter(const std::filesystem::path& path, int64_t vocab,
                                 std::span<const int32_t> tokens,
                                 const std::vector<Window>& windows, const WindowOptions& options)
    : predicted_(predicted_tokens(tokens, windows)),
      writer_(path, items_of(vocab, windows, static_cast<int64_t>(predicted_.size())),
              {{"format", "mica logits"},
               {"context", fmt::format("{}", options.context)},
               {"stride", fmt::format("{}", options.stride)}}) {
  writer_.write("tokens", predicted_.data());
}

void LogitFileWriter::add(std::span<const float> rows) {
  writer_.write(piece_name(next_++), rows.data());
}

void LogitFileWriter::finish() {
  writer_.finish();
}

int64_t LogitFileWriter::bytes(int64_t vocab, const std::vector<Window>& windows) {
  size_t rows = 0;
  for (const Window& window : windows) rows += window.predicted();
  return static_cast<int64_t>(rows) * vocab * static_cast<int64_t>(sizeof(float));
}

}  // namespace mica
