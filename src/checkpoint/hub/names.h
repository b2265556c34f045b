// Names from outside: repository ids, revisions, file names, etags, glob patterns. Nothing that
// passes these checks can leave the cache folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mica::hub {

// "name" or "org/name" of letters, digits, '-', '_', '.'; no "--", no "..", at most 96 characters.
bool is_repo_id(std::string_view text);
// A branch, tag or commit: relative path without empty, "." or ".." parts, no control characters.
bool is_revision(std::string_view text);
// A commit as the hub names it: letters and digits, at most 64. is_full_commit: 40 hex digits.
bool is_commit(std::string_view text);
bool is_full_commit(std::string_view text);
// A file of a repository: as is_revision, at most 1024 bytes, 255 a part, 32 parts.
bool is_file_name(std::string_view text);
// An etag that can be a file name in blobs/: letters, digits, '-', '_', '.', at most 128.
bool is_etag(std::string_view text);

// Text from a server for a message: one line, no control characters, at most `limit` bytes.
std::string printable(std::string_view text, size_t limit = 300);

// Python's fnmatch.fnmatchcase: '*' (also across '/'), '?', '[a-z]', '[!a-z]'. A pattern that ends
// with '/' stands for everything below, as in huggingface_hub.
bool glob_match(std::string_view pattern, std::string_view text);

// Is `file` wanted? An empty `include` stands for what a model needs: configuration, tokenizer,
// templates and safetensors, without other formats' copies (*.bin, *.gguf, original/, onnx/ …).
bool is_wanted(std::string_view file, const std::vector<std::string>& include,
               const std::vector<std::string>& exclude);

// Up to three of `known`, the closest spelling first; empty when none is near.
std::vector<std::string> nearest_names(const std::string& name,
                                       const std::vector<std::string>& known);

}  // namespace mica::hub
