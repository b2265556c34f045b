// Logits of a reference as a file, so that it need not run again: safetensors with
//   tokens    i32 [T]     the tokens that are predicted, in the order of the windows
//   logits.0, logits.1 …  f32 [n, V] each, together [T, V]: row i predicts tokens[i]
// and in its metadata "context" and "stride" of the windows. Other programs may write it too.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/eval/perplexity.h"
#include "checkpoint/safetensors.h"

namespace mica {

class LogitFile : public LogitSource {
 public:
  // Throws Error(kCheckpoint): no such file, or not of this form; Error(kUsage): of other tokens or
  // windows.
  LogitFile(const std::filesystem::path& path, std::span<const int32_t> tokens,
            const std::vector<Window>& windows, const WindowOptions& options);

  int64_t vocab_size() const override { return vocab_; }
  void restart() override {}
  void skip(std::span<const int32_t>) override {}
  std::span<const float> append(std::span<const int32_t> tokens) override;

 private:
  void check_windows(const WindowOptions& options) const;
  void check_tokens(std::span<const int32_t> tokens, const std::vector<Window>& windows) const;

  SafetensorsFile file_;
  std::vector<const SafetensorsEntry*> pieces_;
  int64_t vocab_ = 0;
  size_t piece_ = 0, row_ = 0;  // of the next row
  std::vector<float> rows_;
};

class LogitFileWriter {
 public:
  LogitFileWriter(const std::filesystem::path& path, int64_t vocab, std::span<const int32_t> tokens,
                  const std::vector<Window>& windows, const WindowOptions& options);
  void add(std::span<const float> rows);  // a LogitSink
  void finish();                          // the file gets its name

  // Bytes that the file will have, about.
  static int64_t bytes(int64_t vocab, const std::vector<Window>& windows);

 private:
  std::vector<int32_t> predicted_;
  SafetensorsWriter writer_;
  size_t next_ = 0;
};

}  // namespace mica
