#!/usr/bin/env python3
"""Runs the official OpenAI client over every field and every further endpoint of a Mica server: each
field is taken, does what it says where that can be seen, and is refused by name when it is wrong.
Embeddings, several models, adapters, keys, deadlines and metrics are asked too.

    pip install openai
    tools/check_openai_fields.py --mica build/mica --model models/demo

`check_openai_client.py` asks what an answer looks like, and asks much at once. Prints one line per
check; the exit status is the number of failed ones.
"""

import argparse
import base64
import json
import math
import pathlib
import random
import re
import shutil
import struct
import sys
import tempfile
import time
import urllib.error
import urllib.request

import openai

from mica_server import Checks, Server

check = Checks()
HELLO = [{"role": "user", "content": "Hello!"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}

# Field: values that are taken, values that are refused with the field's name.
BOTH = {
    "temperature": ([0, 0.7, 2], [-1, "warm"]),
    "top_p": ([0.1, 1], [-0.1, 1.5]),
    "top_k": ([-1, 0, 40], [-2]),
    "min_p": ([0, 0.2], [2]),
    "min_tokens_to_keep": ([1, 3], [0]),
    "min_keep": ([0, 2], [-1]),
    "xtc_probability": ([0.5], [2]),
    "xtc_threshold": ([0.1], [0.7]),
    "repetition_penalty": ([1.2], ["x"]),
    "repeat_penalty": ([1.2], ["x"]),
    "presence_penalty": ([0.5], ["x"]),
    "frequency_penalty": ([0.5], ["x"]),
    "repetition_context_size": ([10], [-5]),
    "presence_context_size": ([10], [-5]),
    "frequency_context_size": ([10], [-5]),
    "repeat_last_n": ([16], ["x"]),
    "logit_bias": ([{"5": 1.5}, [[5, -100], [6, False]]], [[5], {"x": 1}]),
    "seed": ([7, -1], ["x"]),
    "n": ([2], [0, 17]),
    "max_tokens": ([1, 3], [-2, "x"]),
    "n_predict": ([2], ["x"]),
    "min_tokens": ([2], [-1]),
    "stop": (["zz", ["a", "b"]], [5]),
    "include_stop_str_in_output": ([True], ["x"]),
    "stop_token_ids": ([[3]], [["x"], 3]),
    "ignore_eos": ([True], ["x"]),
    "json_schema": ([{"type": "boolean"}], [{"type": "no-such-type"}]),
    "grammar": (['root ::= "a"'], ["root ::= ("]),
    "guided_json": ([{"type": "null"}], [5]),
    "guided_regex": (["a|b"], ["("]),
    "guided_choice": ([["a", "b"]], [[]]),
    "guided_grammar": (['root ::= "a"'], ["root = "]),
    "guided_json_object": ([True], ["x"]),
    "structured_outputs": ([{"regex": "a+"}, {"choice": ["x"]}, {"json": {"type": "null"}},
                            {"grammar": 'root ::= "a"'}, {"json_object": True}], [{"regex": "("}]),
    "response_format": ([{"type": "text"}, {"type": "json_object"},
                         {"type": "regex", "pattern": "[a-c]{2}"},
                         {"type": "grammar", "grammar": 'root ::= "a"'}], [{"type": "xml"}, 3]),
    "timings_per_token": ([True], ["x"]),
    "return_token_ids": ([True], ["x"]),
    "return_tokens_as_token_ids": ([True], ["x"]),
    "cache_prompt": ([False], ["x"]),
    "priority": ([-5, 3], ["x"]),
    "user": (["somebody"], []),
    "metadata": ([{"a": "b"}], []),
    "store": ([True], []),
    "service_tier": (["auto"], []),
    "no_such_field": ([1], []),
    "use_beam_search": ([False], [True]),
    "stream_options": ([], [5]),
    "prompt_logprobs": ([0, 3, False], [21, -1]),
    "adapters": ([""], ["no-such-adapter"]),
}
CHAT = {
    "max_completion_tokens": ([2], [-2]),
    "chat_template_kwargs": ([{"enable_thinking": False}], [5]),
    "add_generation_prompt": ([True], ["x"]),
    "documents": ([[{"title": "t", "text": "x"}]], ["x"]),
    "tools": ([[TOOL]], [[{"type": "function", "function": {}}], 5]),
    "tool_choice": (["none", "auto"], ["perhaps", "required"]),
    "parallel_tool_calls": ([True, False], ["x"]),
    "parse_tool_calls": ([False], ["x"]),
    "reasoning_effort": (["none", "minimal", "low", "medium", "high", "xhigh", "max"], ["more"]),
    "thinking_token_budget": ([16, -1], ["x"]),
    "reasoning_budget": ([0], ["x"]),
    "thinking_budget_tokens": ([16], ["x"]),
    "include_reasoning": ([False], ["x"]),
    "reasoning_format": (["none", "auto"], ["x"]),
    "separate_reasoning": ([False], ["x"]),
    "logprobs": ([True], ["x"]),
    "top_logprobs": ([], [21]),
}
TEXT = {
    "best_of": ([2], [17]),
    "add_special_tokens": ([False], ["x"]),
    "truncate_prompt_tokens": ([2], ["x"]),
    "logprobs": ([0, 3], [21]),
    "n_probs": ([2], [21]),
    "echo": ([True], ["x"]),
    "skip_special_tokens": ([False], ["x"]),
    "suffix": ([], ["end"]),
}


def post(url, path, body, key=None, headers=()):
    """Status, headers and JSON (or text) of the answer."""
    request = urllib.request.Request(url + path, json.dumps(body).encode() if body is not None
                                     else None, {"Content-Type": "application/json",
                                                 **dict(headers)})
    if key:
        request.add_header("Authorization", "Bearer " + key)
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            status, heads, text = reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        status, heads, text = error.code, error.headers, error.read()
    try:
        return status, heads, json.loads(text)
    except ValueError:
        return status, heads, text.decode()


def create(client, dialect, fields, stream):
    """Text of the answer's choices, taken from a stream or not."""
    fields = {"max_tokens": 4, **fields}
    if "max_completion_tokens" in fields:
        fields.pop("max_tokens")
    if dialect == "chat":
        make = client.chat.completions.create
        kwargs = {"messages": HELLO}
    else:
        make = client.completions.create
        kwargs = {"prompt": "Once upon a time"}
    kwargs["max_tokens"] = fields.pop("max_tokens", None) or openai.NOT_GIVEN
    if not stream:
        answer = make(model="default_model", extra_body=fields, **kwargs)
        return [c.message.content if dialect == "chat" else c.text for c in answer.choices]
    texts = {}
    for chunk in make(model="default_model", stream=True, extra_body=fields, **kwargs):
        for choice in chunk.choices:
            piece = choice.delta.content if dialect == "chat" else choice.text
            texts[choice.index] = texts.get(choice.index, "") + (piece or "")
    return [texts[i] for i in sorted(texts)]


def field_checks(client, dialect, table):
    for name, (taken, refused) in table.items():
        for value in taken:
            fields = {"temperature": 0, name: value}
            whole, streamed = (None, None)
            try:
                whole = create(client, dialect, fields, False)
                if name not in ("best_of", "prompt_logprobs"):
                    streamed = create(client, dialect, fields, True)
            except openai.APIError as error:
                check(f"{dialect} {name}={value!r}", False, error.message)
                continue
            drawn = name in ("temperature", "seed", "n") or streamed is None
            check(f"{dialect} {name}={value!r}", drawn or whole == streamed,
                  "" if drawn or whole == streamed else (whole, streamed))
        for value in refused:
            try:
                create(client, dialect, {name: value}, False)
                check(f"{dialect} {name}={value!r} refused", False)
            except openai.APIStatusError as error:
                named = (error.param or "").split(".")[0].split("[")[0]
                check(f"{dialect} {name}={value!r} refused", error.status_code in (400, 404) and
                      (named == name or name in error.message),
                      f"{error.status_code} {error.param}: {error.message}"[:150])


def prompt_score_checks(client):
    """Prompts have the log-probabilities that their tokens had when they were generated."""
    def text(prompt, **fields):
        return client.completions.create(**{"model": "default_model", "prompt": prompt,
                                            "temperature": 0, "logprobs": 2, **fields})

    def ids(choice):
        return [int(t.removeprefix("token_id:")) for t in choice.logprobs.tokens]

    named = {"return_tokens_as_token_ids": True}
    made = text("Once upon a time", max_tokens=12, echo=True, extra_body=named)
    first = made.choices[0]
    again = text([ids(first)[:-1]], max_tokens=0, echo=True, extra_body=named).choices[0]
    pairs = list(zip(first.logprobs.token_logprobs[1:-1], again.logprobs.token_logprobs[1:]))
    check("echo with logprobs", first.logprobs.token_logprobs[0] is None and
          first.logprobs.top_logprobs[0] is None and first.logprobs.text_offset[0] == 0 and
          len(ids(first)) == made.usage.total_tokens, len(ids(first)))
    check("scores are those of generated tokens", len(pairs) > 8 and
          all(abs(a - b) < 0.01 for a, b in pairs), max(abs(a - b) for a, b in pairs))
    end = made.usage.prompt_tokens
    greedy = list(zip(again.logprobs.token_logprobs[end:], again.logprobs.top_logprobs[end:]))
    check("the likeliest token is the first alternative",
          all(value == max(top.values()) for value, top in greedy), len(greedy))
    chunks = list(text("Once upon", max_tokens=3, echo=True, stream=True))
    check("a stream begins with the prompt", chunks[0].choices[0].text.startswith("Once upon") and
          chunks[0].choices[0].logprobs.token_logprobs[0] is None)
    several = text(["One", "Two three"], max_tokens=0, n=2, echo=True)
    check("scores of several prompts", [c.text for c in several.choices] ==
          ["One", "One", "Two three", "Two three"] and
          several.choices[2].logprobs == several.choices[3].logprobs)
    listed = text("Once upon", max_tokens=1, extra_body={"prompt_logprobs": 1}).choices[0]
    chat = client.chat.completions.create(model="default_model", messages=HELLO, max_tokens=1,
                                          extra_body={"prompt_logprobs": 0})
    entries = listed.model_extra["prompt_logprobs"]
    check("prompt_logprobs", entries[0] is None and all(
        e["logprob"] <= 0 and "rank" in e and "decoded_token" in e
        for entry in entries[1:] for e in entry.values()) and
        len(chat.model_extra["prompt_logprobs"]) == chat.usage.prompt_tokens)


def embedding_checks(client):
    one = client.embeddings.create(model="default_model", input="a text", encoding_format="float")
    vector = one.data[0].embedding
    check("embedding of a text", one.object == "list" and abs(math.hypot(*vector) - 1) < 1e-3,
          f"{len(vector)} values, {one.usage.total_tokens} tokens")
    default = client.embeddings.create(model="default_model", input="a text")  # asks for base64
    check("base64 is the same", max(abs(a - b) for a, b in zip(default.data[0].embedding, vector))
          < 1e-6)
    several = client.embeddings.create(model="default_model", input=["a text", "another"])
    check("embedding of a list", [d.index for d in several.data] == [0, 1] and
          max(abs(a - b) for a, b in zip(several.data[0].embedding, vector)) < 1e-3)
    ids = client.embeddings.create(model="default_model", input=[[5, 6, 7], [8]])
    check("embedding of ids", len(ids.data) == 2 and ids.usage.prompt_tokens == 4)
    short = client.embeddings.create(model="default_model", input="a text", dimensions=8)
    check("dimensions", len(short.data[0].embedding) == 8 and
          abs(math.hypot(*short.data[0].embedding) - 1) < 1e-3)
    cut = client.embeddings.create(model="default_model", input="word " * 5000,
                                   extra_body={"truncate_prompt_tokens": 16})
    check("truncate_prompt_tokens", cut.usage.prompt_tokens == 16)
    for name, fields in {"input": {"input": []}, "dimensions": {"dimensions": 0},
                         "encoding_format": {"encoding_format": "x"}}.items():
        try:
            client.embeddings.create(**{"model": "default_model", "input": "a", **fields})
            check(f"embeddings {name} refused", False)
        except openai.BadRequestError as error:
            check(f"embeddings {name} refused", error.param == name, error.message)
    try:
        client.embeddings.create(model="default_model", input="word " * 5000)
        check("too long refused", False)
    except openai.BadRequestError as error:
        check("too long refused", len(re.findall(r"\d+", error.message)) >= 2, error.message)


def write_adapter(folder, model):
    """A random LoRA adapter on the query projections, in mlx-lm's format."""
    config = json.loads((pathlib.Path(model) / "config.json").read_text())
    inner = config["num_attention_heads"] * config["head_dim"]
    layers, rank, rng = config["num_hidden_layers"], 4, random.Random(3)
    header, data = {}, b""
    for layer in range(layers):
        for part, shape in {"lora_a": (config["hidden_size"], rank),
                            "lora_b": (rank, inner)}.items():
            values = [rng.gauss(0, 0.3) for _ in range(shape[0] * shape[1])]
            raw = struct.pack(f"<{len(values)}f", *values)
            header[f"model.layers.{layer}.self_attn.q_proj.{part}"] = {
                "dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
    text = json.dumps(header).encode()
    folder.mkdir()
    (folder / "adapters.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "adapter_config.json").write_text(json.dumps({
        "fine_tune_type": "lora", "num_layers": layers,
        "lora_parameters": {"rank": rank, "scale": 4.0, "dropout": 0.0,
                            "keys": ["self_attn.q_proj"]}}))


def wait_for(url, model, state):
    for _ in range(600):
        listed = {m["id"]: m for m in post(url, "/v1/models", None)[2]["data"]}
        if listed.get(model, {}).get("status", {}).get("value") == state:
            return True
        time.sleep(0.05)
    return False


def model_checks(client, url, second):
    listed = [m.id for m in client.models.list().data]
    check("models of a server", second in listed, listed)
    answer = client.chat.completions.create(model=second, messages=HELLO, max_tokens=2)
    check("second model answers", answer.model == second, answer.model)
    check("unload", post(url, "/models/unload", {"model": second})[0] == 200 and
          wait_for(url, second, "unloaded"))
    check("load", post(url, "/v1/models/load", {"model": second})[0] == 200 and
          wait_for(url, second, "loaded"))
    check("retrieve", client.models.retrieve(second).id == second)
    check("unknown model", post(url, "/models/load", {"model": "nothing"})[0] == 404)


def adapter_checks(client, url, folder):
    def text(**fields):
        return client.chat.completions.create(**{"model": "default_model", **fields}, temperature=0,
                                              messages=HELLO, max_tokens=12
                                              ).choices[0].message.content

    plain = text()
    adapted = text(model="tuned")
    check("adapter by model", adapted != plain, repr(adapted))
    check("adapter by field", text(extra_body={"adapters": "tuned"}) == adapted)
    check("without adapter", text(extra_body={"adapters": ""}) == plain)
    body = {"lora_name": "later", "lora_path": str(folder)}
    check("load_lora_adapter", post(url, "/v1/load_lora_adapter", body)[0] == 200 and
          text(model="later") == adapted)
    scores = [client.completions.create(model=name, prompt="a longer text", max_tokens=0, echo=True,
                                        logprobs=0).choices[0].logprobs.token_logprobs
              for name in ("later", "default_model")]
    check("scores with an adapter", scores[0] != scores[1])
    vector = client.embeddings.create(model="later", input="a longer text").data[0].embedding
    check("embeddings with an adapter",
          vector != client.embeddings.create(model="default_model",
                                            input="a longer text").data[0].embedding)
    parents = {m["id"]: m.get("parent") for m in post(url, "/v1/models", None)[2]["data"]}
    check("adapters are listed", parents.get("later"), parents)
    check("unload_lora_adapter",
          post(url, "/v1/unload_lora_adapter", {"lora_name": "later"})[0] == 200 and
          post(url, "/v1/unload_lora_adapter", {"lora_name": "later"})[0] == 404)


def operation_checks(client, url):
    for path in ("/health", "/v1/health", "/health?generate=1", "/version"):
        status, _, body = post(url, path, None)
        check(path, status == 200 and isinstance(body, dict), body)
    status, heads, text = post(url, "/metrics", None)
    check("/metrics", status == 200 and "vllm:time_to_first_token_seconds_bucket" in text and
          heads["Content-Type"].startswith("text/plain"), f"{len(text.splitlines())} lines")
    check("/ and its files", post(url, "/", None)[0] == 200 and
          post(url, "/web/main.js", None)[0] == 200)
    check("/reset_prefix_cache", post(url, "/reset_prefix_cache", {})[0] == 200)
    chat = {"messages": HELLO, "max_tokens": 4}
    status, heads, _ = post(url, "/chat/completions", chat, headers={"X-Request-Id": "mine-1"})
    check("request id comes back", status == 200 and heads["X-Request-Id"] == "mine-1")
    status, _, body = post(url, "/v1/chat/completions", {**chat, "max_tokens": 1900,
                                                        "ignore_eos": True},
                           headers={"X-Request-Timeout": "0.05"})
    check("deadline", status == 504, body)
    check("no route", post(url, "/v1/none", {})[0] == 404)
    status, heads, _ = post(url, "/v1/chat/completions", None)
    check("wrong method", status == 405 and "POST" in heads["Allow"])
    ids = post(url, "/v1/tokenize", {"prompt": "a b"})[2]["tokens"]
    check("/v1 tokens", post(url, "/v1/detokenize", {"tokens": ids})[2]["prompt"] == "a b" and
          "prompt" in post(url, "/v1/apply-template", {"messages": HELLO})[2] and
          post(url, "/v1/responses/input_tokens", {"input": "a b"})[2]["input_tokens"] > 0)


def key_checks(mica, model, folder):
    keys = folder / "keys"
    keys.write_text("first-key-of-two\nsecond-key-of-two\n")
    keys.chmod(0o600)
    server = Server(mica, model, "--api-key-file", str(keys))
    chat = {"messages": HELLO, "max_tokens": 1}
    asked = [post(server.url, "/v1/chat/completions", chat, key)[0]
             for key in (None, "wrong", "first-key-of-two", "second-key-of-two")]
    check("keys", asked == [401, 401, 200, 200], asked)
    check("x-api-key", post(server.url, "/v1/messages", chat, headers={
        "x-api-key": "second-key-of-two"})[0] == 200)
    check("health needs no key", post(server.url, "/health", None)[0] == 200)
    check("metrics need one", post(server.url, "/metrics", None)[0] == 401)
    check("ends with 0", server.end() == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--model", default="models/demo", help="a dense Qwen3-like checkpoint")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        second = folder / "second"
        shutil.copytree(args.model, second)
        write_adapter(folder / "tuned", args.model)
        server = Server(args.mica, args.model, "--also-model", str(second), "--adapter",
                        f"tuned={folder / 'tuned'}", "--allow-runtime-adapters")
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", timeout=600,
                               max_retries=0)
        field_checks(client, "chat", {**BOTH, **CHAT})
        field_checks(client, "text", {**BOTH, **TEXT})
        prompt_score_checks(client)
        embedding_checks(client)
        model_checks(client, server.url, str(second))
        adapter_checks(client, server.url, folder / "tuned")
        operation_checks(client, server.url)
        check("ends with 0", server.end() == 0)
        key_checks(args.mica, args.model, folder)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
