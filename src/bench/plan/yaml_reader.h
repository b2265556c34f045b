// Checked reading of YAML: every value knows its file and line, every key must be known. Included
// by .cpp files only: it brings the YAML library.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace mica {

class YamlMap;

// One value. Copies are cheap and share the file. Every wrong value throws Error(kUsage):
//   [yaml] config/models.yaml:12: port: expected an integer from 1 to 65535, found 'http'
class YamlValue {
 public:
  // `place` is the file's name in messages. Throws Error(kUsage) for what is no YAML.
  static YamlValue parse(std::string_view text, const std::string& place);

  bool is_null() const { return node_.IsNull(); }
  bool is_text() const { return node_.IsScalar(); }  // a number or a boolean too
  bool is_list() const { return node_.IsSequence(); }
  bool is_map() const { return node_.IsMap(); }

  std::string text() const;
  int64_t integer(int64_t low, int64_t high) const;
  double number(double low, double high) const;
  bool boolean() const;
  std::string one_of(const std::vector<std::string>& words) const;
  std::vector<YamlValue> list() const;
  std::vector<std::string> texts() const;  // of a list, or of one plain value
  // `title` says whose keys they are: "a model", "backend vllm".
  YamlMap map(const std::string& title) const;

  std::string place() const;                         // "config/models.yaml:12"
  const std::string& name() const { return name_; }  // its key, or empty
  [[noreturn]] void fail(const std::string& text) const;
  [[noreturn]] void expected(const std::string& what) const;  // "expected …, found …"

 private:
  friend class YamlMap;
  // Anchors let a small file stand for a huge one: values are counted as they are read.
  struct File {
    std::string place;
    int64_t values_left = 200'000;
  };
  YamlValue(YAML::Node node, std::string name, int line, std::shared_ptr<File> file);

  YAML::Node node_;
  std::string name_;
  int line_ = 0;
  std::shared_ptr<File> file_;
};

// The keys of a map. What is asked for by `find` or `require` is known; `finish` throws for the
// first key that is not, with the nearest one that is.
class YamlMap {
 public:
  YamlMap(const YamlValue& value, std::string title);

  std::optional<YamlValue> find(const std::string& key);  // null counts as absent
  YamlValue require(const std::string& key);
  void finish() const;

  // Of maps whose keys are free.
  const std::vector<std::pair<std::string, YamlValue>>& entries() const { return entries_; }
  const YamlValue& value() const { return value_; }

  // What `find` gives, or nothing.
  void read(const std::string& key, std::string& into);
  void read(const std::string& key, bool& into);
  void read(const std::string& key, std::vector<std::string>& into);

 private:
  YamlValue value_;
  std::string title_;
  std::vector<std::pair<std::string, YamlValue>> entries_;
  std::vector<std::string> known_;
};

}  // namespace mica
