// The server over TLS: certificates are made here, so that none expires.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "http/test_app.h"

namespace mica::test {
namespace {

using std::chrono::milliseconds;

// A self-signed certificate for "localhost" and its key, as PEM files.
class Certificate {
 public:
  explicit Certificate(int64_t serial) {
    const std::string folder = ::testing::TempDir() + "mica_tls_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder);
    cert_file = folder + "/cert.pem";
    key_file = folder + "/key.pem";
    write(serial);
  }
  ~Certificate() {
    std::remove(cert_file.c_str());
    std::remove(key_file.c_str());
  }
  void write(int64_t serial) const {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* cert = X509_new();
    ASN1_INTEGER_set_int64(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME* name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_sign(cert, key, EVP_sha256());
    FILE* file = std::fopen(key_file.c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    file = std::fopen(cert_file.c_str(), "w");
    PEM_write_X509(file, cert);
    std::fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
  }
  std::string cert_file, key_file;
};

// A blocking client that trusts whatever certificate it is shown.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, int version = 0) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's sockets raise it
    context_ = SSL_CTX_new(TLS_client_method());
    if (version) SSL_CTX_set_max_proto_version(context_, version);
    bio_ = BIO_new_ssl_connect(context_);
    BIO_set_conn_hostname(bio_, ("127.0.0.1:" + std::to_string(port)).c_str());
    BIO_get_ssl(bio_, &ssl_);
    static const unsigned char kOffer[] = "\x02h2\x08http/1.1";
    SSL_set_alpn_protos(ssl_, kOffer, sizeof kOffer - 1);
    connected = BIO_do_connect(bio_) == 1;
  }
  ~TlsClient() {
    BIO_free_all(bio_);  // sends close_notify
    SSL_CTX_free(context_);
    ERR_clear_error();
  }

  void send(const std::string& text) {
    BIO_write(bio_, text.data(), static_cast<int>(text.size()));
    (void)BIO_flush(bio_);
  }
  void post(const std::string& path, const Json& body) {
    const std::string text = body.dump();
    send("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(text.size()) +
         "\r\n\r\n" + text);
  }
  // Reads until `end` has come, and takes all up to there; "" when the connection ended before.
  std::string read_to(const std::string& end) {
    while (buffer_.find(end) == std::string::npos) {
      char bytes[4096];
      const int got = BIO_read(bio_, bytes, sizeof bytes);
      if (got <= 0) return "";
      buffer_.append(bytes, static_cast<size_t>(got));
    }
    const std::string text = buffer_.substr(0, buffer_.find(end) + end.size());
    buffer_.erase(0, text.size());
    return text;
  }
  // The body of one answer with a Content-Length; `head` gets what is before it.
  std::string read_body(std::string* head = nullptr) {
    const std::string found = read_to("\r\n\r\n");
    if (head) *head = found;
    const size_t at = found.find("Content-Length: ");
    if (at == std::string::npos) return "";
    const size_t size = std::strtoull(found.c_str() + at + 16, nullptr, 10);
    while (buffer_.size() < size) {
      char bytes[4096];
      const int got = BIO_read(bio_, bytes, sizeof bytes);
      if (got <= 0) return "";
      buffer_.append(bytes, static_cast<size_t>(got));
    }
    const std::string body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return body;
  }
  // Without a word of TLS.
  void cut() { ::shutdown(SSL_get_fd(ssl_), SHUT_RDWR); }
  int64_t serial() const {
    X509* cert = SSL_get1_peer_certificate(ssl_);
    int64_t number = 0;
    ASN1_INTEGER_get_int64(&number, X509_get_serialNumber(cert));
    X509_free(cert);
    return number;
  }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  int version() const { return SSL_version(ssl_); }

  bool connected = false;

 private:
  SSL_CTX* context_ = nullptr;
  BIO* bio_ = nullptr;
  SSL* ssl_ = nullptr;
  std::string buffer_;
};

AppOptions with_certificate(const Certificate& certificate) {
  AppOptions options;
  options.http.ssl_cert_file = certificate.cert_file;
  options.http.ssl_key_file = certificate.key_file;
  return options;
}

TEST(Tls, AnswersStreamsAndKeepsConnections) {
  const Certificate certificate(7);
  TestApp app(with_certificate(certificate));
  app.make_ready();
  for (const int version : {0, TLS1_2_VERSION}) {
    TlsClient client(app.port(), version);
    ASSERT_TRUE(client.connected);
    EXPECT_EQ(client.serial(), 7);
    EXPECT_EQ(client.protocol(), "http/1.1");
    for (int i = 0; i < 3; ++i) {
      client.post("/v1/chat/completions", chat("k", {{"stream", true}}));
      EXPECT_EQ(client.read_to("\r\n\r\n").rfind("HTTP/1.1 200", 0), 0U);
      EXPECT_NE(client.read_to("0\r\n\r\n").find("[DONE]"), std::string::npos);
      client.post("/v1/completions", {{"prompt", "ab"}, {"max_tokens", 4}});
      std::string head;
      EXPECT_NE(client.read_body(&head).find("completion_tokens"), std::string::npos);
      EXPECT_NE(head.find("Connection: keep-alive"), std::string::npos);
    }
  }
}

// The second request comes while the first is being answered.
TEST(Tls, Pipelines) {
  const Certificate certificate(7);
  TestApp app(with_certificate(certificate));
  app.make_ready();
  app.hold();
  TlsClient client(app.port());
  client.post("/v1/completions", {{"prompt", "ab"}, {"max_tokens", 4}});
  ASSERT_TRUE(eventually([&] { return app.engine->stats().running == 1; }));
  client.send("GET /version HTTP/1.1\r\nHost: x\r\n");
  std::this_thread::sleep_for(milliseconds(50));
  app.open();
  EXPECT_NE(client.read_body().find("completion_tokens"), std::string::npos);
  client.send("Connection: close\r\n\r\n");
  EXPECT_EQ(client.read_body().rfind("{\"version\":", 0), 0U);
  EXPECT_EQ(client.read_to("never"), "");
}

TEST(Tls, AClientThatGoesEndsItsWork) {
  const Certificate certificate(7);
  TestApp app(with_certificate(certificate));
  app.make_ready();
  for (const bool politely : {true, false}) {
    app.hold();
    {
      TlsClient client(app.port());
      client.post("/v1/completions", {{"prompt", "ab"}, {"max_tokens", 1000}});
      ASSERT_TRUE(eventually([&] { return app.engine->stats().running == 1; }));
      if (!politely) client.cut();
    }
    EXPECT_TRUE(eventually([&] { return app.app->active_requests() == 0; }));
    app.open();
    EXPECT_TRUE(app.engine_is_idle());
  }
  EXPECT_LT(app.engine->stats().generated_tokens, 20U);
}

TEST(Tls, RefusesWhatIsNoTls) {
  const Certificate certificate(7);
  TestApp app(with_certificate(certificate));
  app.make_ready();
  Client plain(app.port());
  plain.request("GET", "/health");
  EXPECT_TRUE(plain.at_end());
  const TlsClient old(app.port(), TLS1_1_VERSION);
  EXPECT_FALSE(old.connected);
  TlsClient broken(app.port());
  broken.send("nonsense\r\n\r\n");
  EXPECT_EQ(broken.read_to("\r\n\r\n").rfind("HTTP/1.1 400", 0), 0U);
}

TEST(Tls, TakesANewCertificate) {
  const Certificate certificate(7);
  TestApp app(with_certificate(certificate));
  app.make_ready();
  TlsClient before(app.port());
  certificate.write(8);
  app.app->reload_certificate();
  EXPECT_EQ(TlsClient(app.port()).serial(), 8);
  std::ofstream(certificate.cert_file) << "no certificate";
  EXPECT_THROW(app.app->reload_certificate(), Error);
  EXPECT_EQ(TlsClient(app.port()).serial(), 8);
  before.send("GET /version HTTP/1.1\r\nHost: x\r\n\r\n");  // goes on with the old one
  EXPECT_EQ(before.read_body().rfind("{\"version\":", 0), 0U);
}

TEST(Tls, WrongFilesAreTheUsersError) {
  const Certificate certificate(7);
  AppOptions options;
  options.http.ssl_cert_file = certificate.cert_file;
  EXPECT_THROW(TestApp{options}, Error);  // no key
  options.http.ssl_key_file = certificate.key_file + ".absent";
  EXPECT_THROW(TestApp{options}, Error);
  options.http.ssl_key_file = certificate.cert_file;
  try {
    TestApp app(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("--ssl-key-file"), std::string::npos);
  }
}

}  // namespace
}  // namespace mica::test
