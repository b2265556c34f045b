// Images that Mica brought onto this machine: they are pulled or built here, and remembered, so
// that they and no others can be removed again.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/launch/docker.h"
#include "bench/plan/images.h"
#include "bench/plan/plan.h"

namespace mica {

struct ImageRecord {
  std::string id;    // "sha256:…", of this machine
  std::string name;  // that it was pulled or built as
  std::string backend;
  bool built = false;   // else pulled
  std::string created;  // UTC, "2026-01-31T12:00:00Z"
};

// One small file for each image, in the folder "images" of the state folder.
class ImageRecords {
 public:
  explicit ImageRecords(const std::filesystem::path& state_folder);  // made when written to

  void write(const ImageRecord& record) const;  // whole or not at all
  void remove(const std::string& id) const;
  std::vector<ImageRecord> all() const;  // readable ones, oldest first

 private:
  std::filesystem::path folder_;
};

struct ImageWanted {
  std::string name;  // with its digest, where one is wanted
  std::string backend;
  bool build = false;
  ImageBuild how;
};
ImageWanted wanted_image(const LaunchPlan& plan);
ImageWanted wanted_image(const NamedImage& image);

// Pulls or builds it, whether or not it is there (`anew`: a build without the cache of layers), and
// remembers it unless this machine had that very image before. Throws LaunchError.
ImageFacts obtain_image(const Docker& docker, const ImageWanted& wanted, bool anew,
                        const ImageRecords& records, const Docker::Line& progress,
                        std::stop_token stop);

}  // namespace mica
