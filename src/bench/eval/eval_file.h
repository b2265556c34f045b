// An eval as it happens: what is asked in the first line, then one line for each question that has
// ended, appended and never changed. A later line of a question replaces an earlier one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/eval/eval_record.h"
#include "bench/results/journal.h"

namespace mica {

struct EvalHead {
  std::string kind, source;  // of the questions
  std::string questions_hash;
  int64_t questions = 0;  // in the file
  std::string model;      // field `model` of requests
  int32_t shots = 0;
  std::string system;
  int64_t max_tokens = 0;                                   // of an answer
  std::vector<std::pair<std::string, std::string>> fields;  // of each request: name, JSON value
  // Not compared:
  std::string backend, url, started, mica_version;
};

// What differs so that the answers of the one don't belong to the other: a sentence; or empty.
std::string difference(const EvalHead& file, const EvalHead& now);

class EvalFile {
 public:
  // Makes the file, or goes on with it; it is locked while this lives. An unfinished last line is
  // cut off. Throws Error(kUsage): another question set, model or setting, a line that is no
  // record, another process has it, it can't be written.
  EvalFile(std::filesystem::path path, const EvalHead& head);
  EvalFile(const EvalFile&) = delete;
  EvalFile& operator=(const EvalFile&) = delete;
  ~EvalFile();

  // That were there, the last of each question, in the order of the file.
  const std::vector<EvalRecord>& records() const { return records_; }
  // Whole or not there: outlives this process when it returns. Throws Error(kMeasurement).
  void append(const EvalRecord& record);
  void sync();  // to the disk
  const std::filesystem::path& path() const { return path_; }
  const std::string& started() const { return started_; }  // when the file was begun

 private:
  void read(const EvalHead& head);
  void write(const OrderedJson& line);

  std::filesystem::path path_;
  std::string started_;
  int fd_ = -1;
  std::optional<FileLock> lock_;
  std::vector<EvalRecord> records_;
};

OrderedJson head_json(const EvalHead& head);

}  // namespace mica
