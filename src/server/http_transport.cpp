#include "server/http_transport.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace mica {
namespace {

constexpr std::string_view kHttp11 = "http/1.1";

// RFC 7301: of the protocols a client offers this server speaks one.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned int bytes, void*) {
  for (unsigned int at = 0; at < bytes; at += 1U + offered[at]) {
    const unsigned int length = offered[at];
    if (at + 1 + length > bytes) break;
    const std::string_view name(reinterpret_cast<const char*>(offered) + at + 1, length);
    if (name != kHttp11) continue;
    *chosen = offered + at + 1;
    *size = static_cast<unsigned char>(length);
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

std::shared_ptr<TlsContext> make_tls_context(const std::string& cert_file,
                                             const std::string& key_file) {
  auto context = std::make_shared<TlsContext>(TlsContext::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // idle connections hold no 32 KB
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  // Without this OpenSSL would ask on the terminal.
  context->set_password_callback([](size_t, TlsContext::password_purpose) { return ""; });
  boost::system::error_code error;
  context->use_certificate_chain_file(cert_file, error);
  if (error)
    throw Error(ErrorKind::kUsage, "[serve] --ssl-cert-file {}: expected a PEM certificate: {}",
                cert_file, error.message());
  context->use_private_key_file(key_file, TlsContext::pem, error);
  if (error)
    throw Error(ErrorKind::kUsage,
                "[serve] --ssl-key-file {}: expected the PEM key of {}, without a password: {}",
                key_file, cert_file, error.message());
  return context;
}

}  // namespace mica
