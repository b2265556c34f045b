// The client over TLS: certificates are made here, so that none expires.
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "bench/client/client.h"
#include "fake_engine/ask.h"
#include "fake_engine/engine.h"
#include "temp_folder.h"

namespace mica {
namespace {

using fake::ask;
using fake::chat_request;

// Self-signed for `name`, with its key: PEM files in `folder`.
void write_certificate(const std::filesystem::path& folder, const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME* subject = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(cert, subject);
  X509_EXTENSION* names =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + name).c_str());
  X509_add_ext(cert, names, -1);
  X509_EXTENSION_free(names);
  X509_sign(cert, key, EVP_sha256());
  FILE* file = std::fopen((folder / "key.pem").c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  file = std::fopen((folder / "cert.pem").c_str(), "w");
  PEM_write_X509(file, cert);
  std::fclose(file);
  X509_free(cert);
  EVP_PKEY_free(key);
}

class ClientTls : public testing::Test {
 protected:
  void start(const std::string& name) {
    write_certificate(folder_.path(), name);
    fake::Script script;
    script.timing.first_token_ms = 2;
    script.timing.interval_ms = 1;
    script.cert_file = folder_.path() / "cert.pem";
    script.key_file = folder_.path() / "key.pem";
    engine_ = std::make_unique<fake::FakeEngine>(script);
    engine_->start();
  }
  ClientOptions options() const {
    return {.url = "https://localhost:" + std::to_string(engine_->port()),
            .ca_file = folder_.path() / "cert.pem"};
  }
  const TempFolder folder_;
  std::unique_ptr<fake::FakeEngine> engine_;
};

TEST_F(ClientTls, StreamsAndKeepsConnections) {
  start("localhost");
  Client client(options());
  for (int i = 0; i < 3; ++i) {
    const RequestRecord record = ask(client, chat_request(20));
    EXPECT_EQ(record.status, RequestStatus::kOk) << record.error;
    EXPECT_EQ(record.completion_tokens, 20);
  }
  int ok = 0;
  for (int i = 0; i < 20; ++i)
    client.submit(chat_request(10), [&](RequestRecord record) { ok += record.ok(); });
  client.run();
  EXPECT_EQ(ok, 20);
}

TEST_F(ClientTls, TrustsOnlyWhatItShould) {
  start("localhost");
  ClientOptions unknown = options();
  unknown.ca_file.clear();
  Client strict(unknown);
  const RequestRecord record = ask(strict, chat_request());
  EXPECT_EQ(record.status, RequestStatus::kRefused);
  EXPECT_NE(record.error.find("TLS"), std::string::npos) << record.error;
  unknown.verify_certificate = false;
  Client trusting(unknown);
  EXPECT_EQ(ask(trusting, chat_request()).status, RequestStatus::kOk);
}

TEST_F(ClientTls, ChecksTheName) {
  start("elsewhere");
  Client client(options());
  EXPECT_EQ(ask(client, chat_request()).status, RequestStatus::kRefused);
}

TEST_F(ClientTls, PlainHttpIsNoTls) {
  fake::FakeEngine plain{fake::Script()};
  plain.start();
  Client client({.url = "https://127.0.0.1:" + std::to_string(plain.port())});
  RequestSpec spec = chat_request();
  spec.deadlines.connect = 5;
  EXPECT_EQ(ask(client, spec).status, RequestStatus::kRefused);
}

}  // namespace
}  // namespace mica
