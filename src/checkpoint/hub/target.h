// Where a pull puts files: the cache (cache.h) or a plain folder (folder.h).
#pragma once

#include <filesystem>
#include <string>

#include "checkpoint/hub/listing.h"

namespace mica::hub {

// Names must have passed the checks of names.h. Writing functions throw kCheckpoint with a remedy.
class PullTarget {
 public:
  virtual ~PullTarget() = default;

  virtual std::filesystem::path root() const = 0;  // its disk takes the files
  virtual std::filesystem::path snapshot(const std::string& commit) const = 0;
  // Where the finished content of a file lies, its beginning, and the lock that guards both.
  virtual std::filesystem::path content(const RemoteFile& file) const = 0;
  virtual std::filesystem::path incomplete(const std::string& etag) const = 0;
  virtual std::filesystem::path lock(const std::string& etag) const = 0;
  // Known without asking the hub: the file of this commit is here, whole.
  virtual bool has_file(const std::string& commit, const std::string& file) const = 0;
  // Whether content() of the right size is that of the etag. May read the whole file.
  virtual bool is_right(const RemoteFile& file) const = 0;

  virtual void make_folders(const std::string& commit) const = 0;
  virtual void make_folder_of(const RemoteFile& file) const = 0;  // of content()
  // content() is whole: makes has_file() true.
  virtual void keep(const std::string& commit, const RemoteFile& file) const = 0;
  virtual void write_ref(const std::string& revision, const std::string& commit) const = 0;
  virtual void note_missing(const std::string& commit, const std::string& file) const = 0;
};

}  // namespace mica::hub
