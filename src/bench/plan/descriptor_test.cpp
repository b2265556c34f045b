#include "bench/plan/descriptor.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "temp_folder.h"

namespace mica {
namespace {

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kUsage ? error.what()
                                             : std::string("wrong kind: ") + error.what();
  }
  return "";
}

// The least that a descriptor has; `more` comes at line 9.
std::string descriptor(const std::string& more) {
  return R"(name: test
process:
  program: [test]
  arguments: [model, host, port]
  port: 8000
settings:
  model: {words: ["{}"]}
  host: {words: [--host, "{}"]}
)" + (more.find("port:") == 2 ? "" : std::string("  port: {words: [--port, \"{}\"]}\n")) +
         more;
}

TEST(Descriptor, TheBuiltInOnesAreEight) {
  const BackendTable table;
  std::vector<std::string> names;
  for (const BackendDescriptor& backend : table.all()) names.push_back(backend.name);
  EXPECT_EQ(names, (std::vector<std::string>{"mica", "mlx-lm", "vllm", "sglang", "llamacpp",
                                             "trtllm", "exllamav3", "ktransformers"}));
  for (const BackendDescriptor& backend : table.all()) {
    EXPECT_FALSE(backend.formats.empty()) << backend.name;
    EXPECT_FALSE(backend.capabilities.empty()) << backend.name;
    EXPECT_FALSE(backend.source.empty()) << backend.name;
    EXPECT_FALSE(backend.probes.health.empty()) << backend.name;
    EXPECT_TRUE(backend.process && backend.docker) << backend.name;
    // What it reads has a row, with one GPU and with two.
    for (const std::string& format : backend.formats)
      for (const int gpus : {1, 2}) {
        const std::string quantization = format == "mlx"           ? "affine"
                                         : format == "safetensors" ? "bf16"
                                                                   : "";
        const CapabilityRow* row = find_capability(backend, {format, quantization, gpus, 90});
        ASSERT_TRUE(row) << backend.name << " " << format;
        EXPECT_NE(row->state, CapabilityRow::State::kRefused) << backend.name << " " << format;
      }
  }
  EXPECT_EQ(table.get("llama.cpp").name, "llamacpp");
  EXPECT_EQ(table.get("exl").name, "exllamav3");
}

TEST(Descriptor, AnUnknownBackendNamesTheNearest) {
  const BackendTable table;
  EXPECT_EQ(error_of([&] { table.get("vlm"); }),
            "[plan] 'vlm' is no backend; is vllm meant?; there are mica, mlx-lm, vllm, sglang, "
            "llamacpp, trtllm, exllamav3, ktransformers");
}

TEST(Descriptor, WrongFilesNameTheLineAndTheNearestKey) {
  const struct {
    std::string yaml, message;
  } cases[] = {
      {descriptor("helth: /x\n"), "t.yaml:10: 'helth' is no key of a backend's descriptor"},
      {descriptor("probes: {helth: /x}\n"),
       "t.yaml:10: 'helth' is no key of probes; is health meant?"},
      {descriptor("  port: {wrods: [x]}\n"),
       "t.yaml:9: 'wrods' is no key of a setting; is words meant?"},
      {descriptor("  x: {words: [-x], type: strin}\n"),
       "t.yaml:10: type: expected one of text, integer, number, fraction, boolean, list, words, "
       "choice; "
       "found "
       "'strin'"},
      {descriptor("  x: {words: [-x, '{}'], type: integer, default: many}\n"),
       "t.yaml:10: x: expected an integer, found 'many'"},
      {descriptor("  x: {type: boolean}\n"), "x: expected 'words', 'choices', 'on' or 'off'"},
      {descriptor("  x: {words: [-x], times: y}\n"), "x: times: 'y' is no setting"},
      {descriptor("deadlines: {start: 0}\n"), "start: expected an integer from 1 to 86400"},
      {descriptor("capabilities:\n  - {state: works, date: yesterday, source: s}\n"),
       "t.yaml:11: date: expected a date as 2026-08-22"},
      {descriptor("capabilities:\n  - {state: refused, date: 2026-08-22, source: s}\n"),
       "t.yaml:11: capabilities: expected a 'note' that says why"},
      {descriptor("capabilities:\n  - {state: works, date: 2026-08-22, source: s, compute: new}\n"),
       "compute: expected 'from 8.0', 'below 7.5', '12.0' or '12.0-12.1', found 'new'"},
      {descriptor("formats: [ggml]\n"), "found 'ggml'; is gguf meant?"},
      {"name: test\nname: test\n", "t.yaml:2: name: it is there twice; the first is at t.yaml:1"},
      {"name: [a\n", "t.yaml:2: expected YAML"},
      {"- a\n", "t.yaml:1: expected the keys of a backend's descriptor, found a list of 1 values"},
      {"", "expected the keys of a backend's descriptor, found nothing"},
      {"name: test\n", "expected the key 'settings' in a backend's descriptor"},
  };
  for (const auto& c : cases) {
    const std::string message = error_of([&] { parse_descriptor(c.yaml, "t.yaml"); });
    EXPECT_NE(message.find(c.message), message.npos) << c.yaml << "\n" << message;
  }
}

TEST(Descriptor, AFolderReplacesAndAdds) {
  const TempFolder folder;
  write_text_file(
      folder.path() / "vllm.yaml",
      "name: vllm\nversion: mine\n" + descriptor("").substr(descriptor("").find('\n') + 1));
  write_text_file(folder.path() / "other.yaml", descriptor(""));
  write_text_file(folder.path() / "notes.txt", "no descriptor");
  BackendTable table;
  table.add_folder(folder.path());
  EXPECT_EQ(table.all().size(), 9u);
  EXPECT_EQ(table.get("vllm").version, "mine");
  EXPECT_EQ(table.get("test").place, (folder.path() / "other.yaml").string());
  EXPECT_NE(error_of([&] { table.add_folder(folder.path() / "absent"); }).find("can't be read"),
            std::string::npos);
}

TEST(Descriptor, CapabilitiesByFormatQuantizationGpusAndCompute) {
  const BackendTable table;
  const auto state = [&](const char* backend, const CapabilityQuestion& question) {
    const CapabilityRow* row = find_capability(table.get(backend), question);
    return std::string(row ? name(row->state) : "unknown");
  };
  EXPECT_EQ(state("vllm", {"mlx", "affine", 1, 120}), "refused");
  EXPECT_EQ(state("vllm", {"safetensors", "bf16", 1, 120}), "works");
  EXPECT_EQ(state("vllm", {"safetensors", "nvfp4", 1, 120}), "limited");
  EXPECT_EQ(state("vllm", {"safetensors", "nvfp4", 1, 100}), "works");
  EXPECT_EQ(state("vllm", {"safetensors", "bf16", 2, 120}), "limited");
  EXPECT_EQ(state("vllm", {"safetensors", "bf16", 1, 70}), "refused");
  EXPECT_EQ(state("vllm", {"safetensors", "bf16", 1, 0}), "works");
  EXPECT_EQ(state("vllm", {"safetensors", "", 1, 120}), "unknown");
  EXPECT_EQ(state("trtllm", {"safetensors", "fp8-block", 1, 120}), "refused");
  EXPECT_EQ(state("trtllm", {"safetensors", "awq", 1, 120}), "refused");
  EXPECT_EQ(state("trtllm", {"safetensors", "awq", 1, 89}), "works");
  EXPECT_EQ(state("mlx-lm", {"mlx", "affine", 1, 120}), "limited");
  EXPECT_EQ(state("mica", {"mlx", "affine", 1, 120}), "works");
  EXPECT_EQ(capable_backends(table, {"mlx", "affine", 1, 120}, "vllm"),
            (std::vector<std::string>{"mica", "mlx-lm"}));
  EXPECT_EQ(capable_backends(table, {"gguf", "q4_k_m", 1, 120}, ""),
            std::vector<std::string>{"llamacpp"});
}

}  // namespace
}  // namespace mica
