// The two hashes that the hub uses as etags.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace mica::hub {

enum class DigestKind {
  kNone,     // the etag is no hash that can be recomputed
  kGitBlob,  // 40 hex digits: SHA-1 of "blob <size>\0" and the content
  kSha256,   // 64 hex digits: SHA-256 of the content (large files)
};
DigestKind digest_kind(std::string_view etag);

class Digest {
 public:
  // `size` is the whole content's, needed by kGitBlob. kNone is not allowed.
  Digest(DigestKind kind, uint64_t size);
  void update(const char* data, size_t size);
  // Adds the first `size` bytes of a file; throws kCheckpoint when it is shorter or unreadable.
  void update_from_file(const std::filesystem::path& path, uint64_t size);
  std::string hex();  // lower case; once, at the end

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256(std::string_view bytes);  // 64 hex digits

}  // namespace mica::hub
