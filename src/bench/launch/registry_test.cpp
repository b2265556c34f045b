#include "bench/launch/registry.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/hub/test_server.h"

namespace mica {
namespace {

using hub::TestReply;
using hub::TestRequest;

std::string names(const RegistryQuestion& question) {
  std::string text;
  for (const RegistryTag& tag : registry_tags(question))
    text += (text.empty() ? "" : " ") + tag.name;
  return text;
}

TestReply json_reply(const std::string& body, int status = 200) {
  TestReply reply;
  reply.status = status;
  reply.body = body;
  return reply;
}

// The form of hub.docker.com's answers.
TestReply docker_hub(const TestRequest& request) {
  if (!request.target.starts_with("/v2/repositories/vllm/vllm-openai/tags?"))
    return json_reply(R"({"message": "object not found"})", 404);
  if (request.target.find("&page=1&") != std::string::npos)
    return json_reply(R"({"count": 3, "next": "https://hub.docker.com/v2/x?page=2", "results": [
      {"name": "nightly-aaa", "last_updated": "2026-08-20T01:02:03.4Z", "digest": "sha256:aa",
       "full_size": 11000000000, "images": []},
      {"name": "v0.27.1", "last_updated": "2026-08-22T01:02:03.4Z", "digest": "sha256:cc",
       "full_size": 1}]})");
  return json_reply(R"({"count": 3, "next": null, "results": [
      {"name": "nightly-bbb", "last_updated": "2026-08-21T01:02:03.4Z", "digest": "sha256:bb"}]})");
}

TEST(Registry, DockerHubSaysWhen) {
  hub::TestServer server(docker_hub);
  const auto tags = registry_tags({"vllm/vllm-openai:v0.27.1", "nightly", 20, server.url()});
  ASSERT_EQ(tags.size(), 2u);
  EXPECT_EQ(tags[0].name, "nightly-bbb");
  EXPECT_EQ(tags[0].digest, "sha256:bb");
  EXPECT_EQ(tags[1].bytes, 11'000'000'000u);
  EXPECT_EQ(tags[1].updated, "2026-08-20T01:02:03.4Z");
  EXPECT_EQ(names({"docker.io/vllm/vllm-openai", "", 1, server.url()}), "v0.27.1");
  try {
    names({"vllm/other", "", 1, server.url()});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBackend);
    EXPECT_NE(std::string(error.what()).find("HTTP 404: there is no such repository"),
              std::string::npos)
        << error.what();
  }
}

// The form of ghcr.io's answers: a token for everybody, pages that begin behind a tag.
TestReply oci(const TestRequest& request) {
  if (request.target == "/token?service=ghcr.io&scope=repository:org/x:pull")
    return json_reply(R"({"token": "everybody"})");
  if (request.header("authorization") != "Bearer everybody")
    return json_reply(R"({"errors": [{"code": "UNAUTHORIZED"}]})", 401);
  if (request.target == "/v2/org/x/tags/list?n=1000")
    return json_reply(R"({"name": "org/x", "tags": ["b10000", "b10524", "b999", "light-b2"]})");
  return json_reply(R"({"name": "org/x", "tags": []})");
}

TEST(Registry, ElsewhereNumbersTellWhatIsNew) {
  hub::TestServer server(oci);
  EXPECT_EQ(names({"ghcr.io/org/x:b999", "b", 20, server.url()}), "light-b2 b10524 b10000 b999");
  EXPECT_EQ(names({"ghcr.io/org/x", "b1", 20, server.url()}), "b10524 b10000");
  EXPECT_EQ(server.count("GET", "&last=light-b2"), 2);
}

TEST(Registry, WhatIsNoAnswer) {
  hub::TestServer server([](const TestRequest&) { return json_reply("<html>"); });
  EXPECT_THROW(names({"ghcr.io/org/x", "", 20, server.url()}), Error);
  EXPECT_THROW(names({"a/b", "", 20, server.url()}), Error);
  EXPECT_THROW(names({"ghcr.io/a b", "", 20, server.url()}), Error);
  EXPECT_THROW(names({"a/b", "", 20, "http://127.0.0.1:1"}), Error);
}

}  // namespace
}  // namespace mica
