#include "bench/launch/images.h"

#include "bench/launch/testing/launch_fixture.h"

namespace mica {
namespace {

class ImageTest : public LaunchTest {
 protected:
  ImageFacts obtain(const ImageWanted& wanted) const {
    return obtain_image(Docker(docker().string()), wanted, false, ImageRecords(state()), {}, {});
  }
};

TEST_F(ImageTest, WhatMicaBringsIsRememberedAndWhatWasThereIsNot) {
  obtain({"fake/engine:1.2.3", "fake", false, {}});  // it was here
  EXPECT_TRUE(ImageRecords(state()).all().empty());
  docker_says("images.json", R"({"a/b:1": {"id": "sha256:1", "digest": "a/b@sha256:2",
                                           "here": false, "program": []}})");
  obtain({"a/b:1", "vllm", false, {}});
  obtain({"mica-bench/x:1", "x", true, {"", "", "FROM scratch\n", {}}});
  const auto records = ImageRecords(state()).all();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].id, "sha256:1");
  EXPECT_EQ(records[0].backend, "vllm");
  EXPECT_FALSE(records[0].built);
  EXPECT_TRUE(records[1].built);
  ImageRecords(state()).remove("sha256:1");
  EXPECT_EQ(ImageRecords(state()).all().size(), 1u);
}

TEST_F(ImageTest, ALaunchRemembersWhatItPulled) {
  std::string images = text_of(docker_home() / "images.json");
  images.replace(images.find("\"here\": true"), 12, "\"here\": false");
  docker_says("images.json", images);
  launch_engine(docker_plan(), options()).stop();
  const auto records = ImageRecords(state()).all();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].name, "fake/engine:1.2.3");
}

TEST_F(ImageTest, ADockerfileOfTheContext) {
  std::filesystem::create_directory(root() / "source");
  obtain({"x:1", "x", true, {(root() / "source").string(), "docker/Dockerfile", "", {}}});
  std::string call = docker_calls()[1];
  EXPECT_NE(call.find("\"--file\", \"" + (root() / "source/docker/Dockerfile").string() + "\""),
            std::string::npos)
      << call;
  obtain({"x:1", "x", true, {"https://host/a.git#v1", "docker/Dockerfile", "", {}}});
  call = docker_calls()[4];
  EXPECT_NE(call.find("\"--file\", \"docker/Dockerfile\", \"https://host/a.git#v1\""),
            std::string::npos)
      << call;
}

TEST_F(ImageTest, AnImageIsRemovedUnlessAContainerUsesIt) {
  const Docker docker_program(docker().string());
  docker_says("image_rm_error",
              "Error response from daemon: conflict: unable to delete x: image "
              "is being used by running container 1");
  EXPECT_NE(docker_program.remove_image("sha256:" + std::string(64, 'a')).find("is being used"),
            std::string::npos);
  std::filesystem::remove(docker_home() / "image_rm_error");
  EXPECT_EQ(docker_program.remove_image("sha256:" + std::string(64, 'a')), "");
  EXPECT_FALSE(docker_program.image("fake/engine:1.2.3"));
}

}  // namespace
}  // namespace mica
