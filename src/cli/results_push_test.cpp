// mica results push against a local server.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "bench/report/export_metrics.h"
#include "bench/results/store.h"
#include "bench_runs.h"
#include "checkpoint/hub/test_server.h"
#include "cli/commands.h"
#include "run_command.h"
#include "temp_folder.h"

namespace mica {
namespace {

class ResultsPush : public testing::Test {
 protected:
  ResultsPush()
      : store_(folder_.path() / "results"),
        server_([this](const hub::TestRequest&) { return reply_; }) {
    store_.add(sample_run("vllm"));
    store_.add(sample_run("sglang"));
  }
  // What it printed, the error and the exit status.
  std::string run(std::vector<std::string> words) {
    CLI::App app;
    add_results_push_command(app);
    words.insert(words.begin(), {"push", "--results", (folder_.path() / "results").string()});
    return run_command(app, std::move(words));
  }

  TempFolder folder_;
  ResultStore store_;
  hub::TestReply reply_;
  hub::TestServer server_;
};

const char* const kVllm = "20260131T120000.123Z-vllm-1";
const char* const kSglang = "20260131T120000.123Z-sglang-1";

TEST_F(ResultsPush, ToAPushgateway) {
  EXPECT_EQ(run({"--pushgateway", server_.url() + "/below/", "--backend", "vllm"}),
            fmt::format("{}\n [0]", kVllm));
  ASSERT_EQ(server_.requests().size(), 1u);
  const hub::TestRequest request = server_.requests()[0];
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, fmt::format("/below/metrics/job/mica/run/{}", kVllm));
  EXPECT_EQ(request.header("content-type"), kExpositionType);
  EXPECT_EQ(request.body, exposition_text(store_.load(kVllm)));
}

TEST_F(ResultsPush, ByOtlpAndBoth) {
  EXPECT_EQ(run({kSglang, "--otlp", server_.url()}), fmt::format("{}\n [0]", kSglang));
  ASSERT_EQ(server_.requests().size(), 1u);
  const hub::TestRequest request = server_.requests()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/v1/metrics");
  EXPECT_EQ(request.header("content-type"), "application/json");
  EXPECT_EQ(request.body, otlp_json(store_.load(kSglang)));
  server_.forget_requests();
  run({"--otlp", server_.url(), "--pushgateway", server_.url()});
  EXPECT_EQ(server_.count("POST", "/v1/metrics"), 2);
  EXPECT_EQ(server_.count("PUT", "-1"), 2);
}

TEST_F(ResultsPush, AnAnswerThatIsNoSuccessIsAnError) {
  reply_.status = 400;
  reply_.body = "text format parsing error in line 1";
  const std::string said = run({"--pushgateway", server_.url()});
  EXPECT_NE(said.find("found 400 text format parsing error in line 1"), std::string::npos) << said;
  EXPECT_TRUE(said.ends_with("[4]")) << said;
  EXPECT_EQ(server_.requests().size(), 1u);  // not the next run
  reply_.status = 302;
  EXPECT_TRUE(run({"--otlp", server_.url()}).ends_with("[4]"));
  reply_.status = 200;
  reply_.body = R"({"partialSuccess": {"rejectedDataPoints": "7", "errorMessage": "too old"}})";
  const std::string partial = run({"--otlp", server_.url()});
  EXPECT_NE(partial.find("it left out 7 data points: too old"), std::string::npos) << partial;
  EXPECT_TRUE(partial.ends_with("[4]")) << partial;
}

TEST_F(ResultsPush, NobodyThereAndNothingAsked) {
  EXPECT_TRUE(run({"--otlp", "http://127.0.0.1:1"}).ends_with("[4]"));
  EXPECT_TRUE(run({}).ends_with("[2]"));
  EXPECT_TRUE(run({"--otlp", server_.url(), "--pushgateway", "no address"}).ends_with("[2]"));
  EXPECT_TRUE(run({"--otlp", server_.url(), "--backend", "none"}).ends_with("[2]"));
  EXPECT_TRUE(server_.requests().empty());
}

}  // namespace
}  // namespace mica
