// A plain folder as the target of a pull, with the notes that huggingface_hub keeps in such
// folders:
//   FOLDER/<file>                                               content
//   FOLDER/.cache/huggingface/download/<file>.metadata          commit, etag, seconds: a line each
//   FOLDER/.cache/huggingface/download/<etag>.incomplete, .lock  while it is fetched
#pragma once

#include "checkpoint/hub/target.h"

namespace mica::hub {

class PlainFolder : public PullTarget {
 public:
  explicit PlainFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path root() const override { return folder_; }
  std::filesystem::path snapshot(const std::string&) const override { return folder_; }
  std::filesystem::path content(const RemoteFile& file) const override;
  std::filesystem::path incomplete(const std::string& etag) const override;
  std::filesystem::path lock(const std::string& etag) const override;
  bool has_file(const std::string& commit, const std::string& file) const override;
  // A file without a note, or changed since, is hashed.
  bool is_right(const RemoteFile& file) const override;

  void make_folders(const std::string& commit) const override;
  void make_folder_of(const RemoteFile& file) const override;
  void keep(const std::string& commit, const RemoteFile& file) const override;
  void write_ref(const std::string&, const std::string&) const override {}
  void note_missing(const std::string&, const std::string&) const override {}

 private:
  struct Note {
    std::string commit, etag;  // empty: there is none, or the file is newer
  };
  std::filesystem::path notes() const { return folder_ / ".cache" / "huggingface" / "download"; }
  std::filesystem::path note_path(const std::string& file) const;
  Note note(const std::string& file) const;

  std::filesystem::path folder_;
};

}  // namespace mica::hub
