#include "bench/plan/models_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "test_data.h"

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

ModelsFile parse(const std::string& yaml) {
  static const BackendTable table;
  return parse_models_file(yaml, "m.yaml", table);
}

TEST(ModelsFile, TheShippedOneParses) {
  const ModelsFile file = [] {
    const BackendTable table;
    return parse_models_file(read_text_file(source_path("config/models.yaml")), "models.yaml",
                             table);
  }();
  EXPECT_GE(file.models.size(), 10u);
  EXPECT_EQ(file.primary->value, "~/models");
  EXPECT_FALSE(file.sidecars.at("litellm").enabled);
}

TEST(ModelsFile, EveryKeyIsRead) {
  const ModelsFile file = parse(R"(
defaults:
  storage: {primary: /m, gguf: /g}
  backends:
    llama:
      version: b1
      image: i
      digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
      image_type: build
      build_context: /c
      mode: process
      url: http://h
      directory: /d
      program: [p, q]
      args: {context: 4096, tensor_offload: [a, b]}
      extra_args: [--x]
      env: {A: b}
      docker_options: [--y]
      mounts: ["/a:/b:rw"]
      sampling: {top_k: 5, chat_template_kwargs: {enable_thinking: false, style: short}}
      model_patterns: [{match: [x, y], args: {jinja: false}}]
models:
  - repo_id: a/b
    name: n
    match: [c/*]
    include: ["*Q4*"]
    exclude: ["*.bin"]
    files: [f]
    revisions: [r, s]
    local_dir: /l
    repo_type: model
    format: gguf
    backend: llama
    backends: {vllm: {version: v}}
    profiles: {p: {backend: sglang, version: w}, q: {}}
sidecars:
  open_webui: {enabled: true, image: o, version: v, port: 1}
  litellm: {enabled: false, image: l, version: w, port: 2, alias: a}
)");
  const Layer& layer = file.defaults.at("llamacpp");
  EXPECT_EQ(layer.scalars.size(), 8u);
  EXPECT_EQ(layer.scalars.at("version").origin.text, "m.yaml:6");
  EXPECT_EQ(layer.settings.at("tensor_offload")->values, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(layer.sampling.at("chat_template_kwargs")->value,
            R"({"enable_thinking": false, "style": "short"})");
  EXPECT_EQ(file.patterns.at(0).globs, (std::vector<std::string>{"x", "y"}));
  const ModelEntry& model = file.models.at(0);
  EXPECT_EQ(model.backend->value, "llamacpp");
  EXPECT_EQ(model.revisions, (std::vector<std::string>{"r", "s"}));
  EXPECT_EQ(model.profiles.at(0).backend->value, "sglang");
  EXPECT_EQ(file.sidecars.at("litellm").alias, "a");
}

TEST(ModelsFile, WrongFilesNameTheLineAndWhatIsMeant) {
  const std::string model = "models:\n  - repo_id: a/b\n";
  const std::string vllm = "defaults:\n  backends:\n    vllm:\n      ";
  const struct {
    std::string yaml, message;
  } cases[] = {
      {"model:\n", "[yaml] m.yaml:1: 'model' is no key of the models file; is models meant?"},
      {"models: a\n", "m.yaml:1: models: expected a list, found 'a'"},
      {"models:\n  - name: x\n", "m.yaml:2: models: expected the key 'repo_id' in a model"},
      {"models:\n  - repo_id: 'a b'\n", "expected a repository as org/name, found 'a b'"},
      {model + "    revison: x\n", "m.yaml:3: 'revison' is no key of a model; is revision meant?"},
      {model + "    revision: x\n    revisions: [y]\n", "expected 'revision' or 'revisions'"},
      {model + "    revision: ../x\n", "expected branches, tags or commits"},
      {model + "    format: ggml\n", "found 'ggml'; is gguf meant?"},
      {model + "    backend: vlm\n", "m.yaml:3: 'vlm' is no backend; is vllm meant?"},
      {model + "    backends: {sglan: {}}\n", "'sglan' is no backend; is sglang meant?"},
      {model + "    backends: {exl: {}, exl3: {}}\n", "the backend is there twice"},
      {model + "    profiles: {none: {}}\n", "it is no name for a profile"},
      {model + "    profiles: {p: {extra_arg: [x]}}\n", "is extra_args meant?"},
      {model + "    profiles: {p: {args: {contxt: 1}}}\n",
       "'contxt' is no setting of any backend; is context meant?"},
      {model + "    name: x\n  - repo_id: c/d\n    name: x\n",
       "m.yaml:4: name 'x' is that of the model at m.yaml:2 already"},
      {vllm + "args: {max_model_length: 1}\n",
       "m.yaml:4: 'max_model_length' is no setting of vllm; is max_model_len meant?; flags of its "
       "own go into extra_args"},
      {vllm + "args: {context: many}\n", "m.yaml:4: context: expected an integer, found 'many'"},
      {vllm + "args: {kv_bits: 3}\n", "kv_bits: expected one of 16, 8, found '3'"},
      {vllm + "args: {port: 3}\n", "m.yaml:4: port: it can't be set here"},
      {vllm + "extra_args: --x\n", "extra_args: expected a list of words, found '--x'"},
      {vllm + "extra_args: [--x 5]\n",
       "m.yaml:4: '--x 5' is one word for the backend; write it as two items, or as [--x, \"5\"]"},
      {vllm + "extra_args: {apend: [x]}\n", "is append meant?"},
      {vllm + "extra_args: {replace: [x], remove: [y]}\n", "have no place beside it"},
      {vllm + "extra_args: {}\n", "expected append, remove or replace"},
      {vllm + "mounts: [/x]\n", "expected HOST:CONTAINER or HOST:CONTAINER:rw, found '/x'"},
      {vllm + "mounts: ['/x:y']\n", "expected HOST:CONTAINER"},
      {vllm + "mode: dockr\n", "found 'dockr'; is docker meant?"},
      {vllm + "digest: latest\n", "digest: expected 'sha256:'"},
      {vllm + "digest: sha256:12\n", "digest: expected 'sha256:' and 64 hexadecimal digits"},
      {vllm + "env: {'A=B': c}\n", "expected the name of a variable"},
      {vllm + "env: [A]\n", "env: expected the keys of env, found a list"},
      {vllm + "sampling: {temprature: 1}\n", "is temperature meant?"},
      {vllm + "sampling: {temperature: hot}\n", "temperature: expected a number, found 'hot'"},
      {vllm + "model_patterns: [{pattern: x}]\n", "expected the key 'match' in a model pattern"},
      {vllm + "backend_version: x\n", "'backend_version' is no key of a backend"},
      {"sidecars: {open_web: {}}\n", "is open_webui meant?"},
      {"sidecars: {litellm: {port: 0}}\n", "port: expected an integer from 1 to 65535"},
      {"models: [\n", "expected YAML"},
      {"? [a]\n: b\n", "expected a plain word as key"},
      {"models: &a [*a]\n", ""},  // an anchor inside itself: any error, no crash
  };
  for (const auto& c : cases) {
    const std::string message = error_of([&] { parse(c.yaml); });
    EXPECT_NE(message, "") << c.yaml;
    EXPECT_NE(message.find(c.message), message.npos) << c.yaml << "\n" << message;
  }
}

TEST(ModelsFile, ManyAnchorsAreRefused) {
  std::string yaml = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  std::string models = "models:\n";
  std::string list;
  for (int i = 0; i < 300; ++i) list += "x,";
  models += "  - &m {repo_id: a/b, include: [" + list + "]}\n";
  for (int i = 0; i < 1000; ++i) models += "  - *m\n";
  EXPECT_NE(error_of([&] { parse(models); }).find("too many values"), std::string::npos);
}

// ---- Which entry is meant.

const char* const kSeveral = R"(
models:
  - repo_id: Qwen/Qwen3-VL-2B-Instruct
    name: small
  - repo_id: Qwen/Qwen3-VL-2B-Instruct-FP8
  - repo_id: t/exl
    revisions: [4.0bpw]
  - repo_id: t/exl
    revisions: [6.0bpw]
  - repo_id: t/gguf
    include: ["*Q4_K_M*"]
  - repo_id: t/gguf
    include: ["*Q8_0*"]
  - repo_id: g/base
    match: ["g/*"]
  - repo_id: h/base
    match: ["g/special-*", "h/*"]
)";

std::string matched(const std::string& text, const std::string& repo,
                    const std::string& revision = "", const std::string& gguf = "") {
  static const ModelsFile file = parse(kSeveral);
  const ModelEntry* entry = match_model(file, {text, repo, revision, ""}, gguf);
  return entry ? entry->place : "none";
}

TEST(ModelsFile, MatchIsByNameThenExactThenByGlob) {
  EXPECT_EQ(matched("small", ""), "m.yaml:3");
  EXPECT_EQ(matched("Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3-VL-2B-Instruct"), "m.yaml:3");
  EXPECT_EQ(matched("x", "Qwen/Qwen3-VL-2B-Instruct-FP8"), "m.yaml:5");
  EXPECT_EQ(matched("x", "Qwen/Qwen3-VL-2B"), "none");
  EXPECT_EQ(matched("x", "t/exl", "6.0bpw"), "m.yaml:8");
  EXPECT_EQ(matched("x", "t/gguf", "", "Q8_0"), "m.yaml:12");
  EXPECT_EQ(matched("x", "t/gguf", "", "model-Q4_K_M.gguf"), "m.yaml:10");
  EXPECT_EQ(matched("x", "g/base"), "m.yaml:14");   // exact before glob
  EXPECT_EQ(matched("x", "G/Other"), "m.yaml:14");  // whatever the case
}

TEST(ModelsFile, AnAmbiguousMatchNamesTheCandidates) {
  EXPECT_EQ(error_of([] { matched("g/special-1", "g/special-1"); }),
            "[models] 'g/special-1' may mean 2 entries; name a revision (@REV), a file (--gguf) or "
            "the entry's name:\n  m.yaml:14: g/base\n  m.yaml:16: h/base");
  EXPECT_NE(error_of([] { matched("t/exl", "t/exl"); }).find("m.yaml:6: t/exl@4.0bpw"),
            std::string::npos);
  EXPECT_NE(error_of([] { matched("t/gguf", "t/gguf"); }).find("t/gguf (*Q8_0*)"),
            std::string::npos);
}

TEST(ModelsFile, Profiles) {
  const ModelsFile file = parse(R"(
models:
  - repo_id: a/none
  - repo_id: a/one
    profiles: {fast: {backend: vllm}}
  - repo_id: a/two
    profiles: {fast: {backend: vllm}, slow: {backend: sglang}}
  - repo_id: a/default
    profiles: {default: {}, fast: {backend: vllm}}
)");
  const auto chosen = [&](size_t model, const std::string& wanted, const std::string& backend) {
    const ModelProfile* profile = choose_profile(file.models[model], wanted, backend);
    return profile ? profile->name : "none";
  };
  EXPECT_EQ(chosen(0, "", ""), "none");
  EXPECT_EQ(chosen(1, "", ""), "fast");
  EXPECT_EQ(chosen(1, "", "vllm"), "fast");
  EXPECT_EQ(chosen(1, "", "sglang"), "none");  // --backend is not overruled by a profile
  EXPECT_EQ(chosen(1, "none", ""), "none");
  EXPECT_EQ(chosen(2, "slow", ""), "slow");
  EXPECT_EQ(chosen(2, "", "vllm"), "fast");
  EXPECT_EQ(chosen(3, "", ""), "default");
  EXPECT_EQ(chosen(3, "", "sglang"), "default");
  EXPECT_EQ(
      error_of([&] { chosen(2, "", ""); }),
      "[models] m.yaml:6: a/two has several profiles; choose one by --profile (or none): fast "
      "(vllm), slow (sglang)");
  EXPECT_EQ(
      error_of([&] { chosen(2, "fast", "sglang"); }),
      "[models] m.yaml:7: profile fast is for vllm, and sglang is asked for; leave one of them "
      "out");
  EXPECT_NE(error_of([&] { chosen(2, "fasst", ""); }).find("is fast meant?"), std::string::npos);
}

}  // namespace
}  // namespace mica
