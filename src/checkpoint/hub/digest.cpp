#include "checkpoint/hub/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace mica::hub {

DigestKind digest_kind(std::string_view etag) {
  if (etag.find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return DigestKind::kNone;
  if (etag.size() == 64) return DigestKind::kSha256;
  return etag.size() == 40 ? DigestKind::kGitBlob : DigestKind::kNone;
}

void Digest::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Digest::Digest(DigestKind kind, uint64_t size) : context_(EVP_MD_CTX_new()) {
  MICA_CHECK(kind != DigestKind::kNone);
  const EVP_MD* method = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1();
  if (!context_ || EVP_DigestInit_ex(context_.get(), method, nullptr) != 1)
    throw Error(ErrorKind::kInternal, "[hub] the crypto library refuses {}",
                kind == DigestKind::kSha256 ? "SHA-256" : "SHA-1");
  if (kind == DigestKind::kGitBlob) {
    const std::string header = fmt::format("blob {}", size);
    update(header.c_str(), header.size() + 1);  // the zero byte belongs to it
  }
}

void Digest::update(const char* data, size_t size) {
  MICA_CHECK(EVP_DigestUpdate(context_.get(), data, size) == 1);
}

void Digest::update_from_file(const std::filesystem::path& path, uint64_t size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::vector<char> buffer(size_t{1} << 20);
  ssize_t got = fd < 0 ? -1 : 0;
  while (size > 0 && fd >= 0) {
    got = ::read(fd, buffer.data(), std::min<uint64_t>(size, buffer.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    update(buffer.data(), static_cast<size_t>(got));
    size -= static_cast<uint64_t>(got);
  }
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  if (fd < 0 || size > 0)
    throw Error(ErrorKind::kCheckpoint, "[hub] {}: can't be read to check its hash: {}",
                path.string(), got < 0 ? std::strerror(reason) : "it became shorter");
}

std::string Digest::hex() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  MICA_CHECK(EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

std::string sha256(std::string_view bytes) {
  Digest digest(DigestKind::kSha256, bytes.size());
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

}  // namespace mica::hub
