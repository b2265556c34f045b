#!/usr/bin/env python3
"""Runs the official OpenAI client against a Mica server: every answer arrives, in the right shape.

    pip install openai
    tools/check_openai_client.py --mica build/mica --model models/demo     # starts a server
    tools/check_openai_client.py --url http://127.0.0.1:8080               # uses a running one

Prints one line per check; the exit status is the number of failed ones.
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
import time
import urllib.request

import openai

from mica_server import Checks, Server

check = Checks()


def get(url, path):
    try:
        with urllib.request.urlopen(url + path, timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def chat_checks(client, model):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
    answer = client.chat.completions.create(model=model, messages=messages, max_tokens=24,
                                            temperature=0)
    text = answer.choices[0].message.content
    check("chat", answer.object == "chat.completion" and text and
          answer.choices[0].finish_reason in ("stop", "length"), repr(text))
    check("chat usage", answer.usage.total_tokens ==
          answer.usage.prompt_tokens + answer.usage.completion_tokens and
          answer.usage.completion_tokens > 0, answer.usage.total_tokens)

    stream = list(client.chat.completions.create(
        model=model, messages=messages, max_tokens=24, temperature=0, stream=True,
        stream_options={"include_usage": True}))
    streamed = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    check("stream says the same", streamed == text, repr(streamed))
    check("stream usage", stream[-1].usage and not stream[-1].choices and
          stream[-1].usage.completion_tokens == answer.usage.completion_tokens)
    check("stream role first", stream[0].choices[0].delta.role == "assistant")
    ends = [c.choices[0].finish_reason for c in stream if c.choices and c.choices[0].finish_reason]
    check("one finish reason", ends == [answer.choices[0].finish_reason], ends)

    scored = client.chat.completions.create(model=model, messages=messages, max_tokens=5,
                                            temperature=0, logprobs=True, top_logprobs=3)
    content = scored.choices[0].logprobs.content
    check("logprobs", len(content) > 0 and all(
        len(t.top_logprobs) == 3 and t.logprob <= 0 and t.top_logprobs[0].logprob >= t.logprob - 1e-4
        for t in content))
    joined = b"".join(bytes(t.bytes) for t in content).decode("utf-8", "replace")
    check("logprob bytes are the text", joined.startswith(scored.choices[0].message.content[:8]))

    several = client.chat.completions.create(model=model, messages=messages, max_tokens=12, n=3,
                                             temperature=1.0, seed=1)
    again = client.chat.completions.create(model=model, messages=messages, max_tokens=12, n=3,
                                           temperature=1.0, seed=1)
    texts = [c.message.content for c in several.choices]
    check("n and seed", len(texts) == 3 and texts == [c.message.content for c in again.choices],
          texts)
    if len(text) > 8:
        stop = text[4:7]
        cut = client.chat.completions.create(model=model, messages=messages, max_tokens=24,
                                             temperature=0, stop=[stop])
        check("stop string", cut.choices[0].message.content == text[:text.index(stop)] and
              cut.choices[0].finish_reason == "stop", repr(stop))


def text_checks(client, model):
    answer = client.completions.create(model=model, prompt="Once upon", max_tokens=8, temperature=0,
                                       echo=True)
    check("completions", answer.object == "text_completion" and
          answer.choices[0].text.startswith("Once upon"), repr(answer.choices[0].text))
    both = client.completions.create(model=model, prompt=["One", "Two"], max_tokens=4,
                                     temperature=0, logprobs=2)
    check("completions of a list", [c.index for c in both.choices] == [0, 1] and
          len(both.choices[1].logprobs.tokens) > 0)
    stream = list(client.completions.create(model=model, prompt="Once upon", max_tokens=8,
                                            temperature=0, stream=True))
    best = client.completions.create(model=model, prompt="Once upon", max_tokens=4, best_of=4, n=2,
                                     temperature=1.0, seed=2)
    check("best_of", len(best.choices) == 2 and best.usage.completion_tokens >= 8)
    try:
        client.completions.create(model=model, prompt="x", suffix="end")
        check("suffix refused", False)
    except openai.BadRequestError as error:
        check("suffix refused", True, error.message)
    check("completions stream", "Once upon" + "".join(
        c.choices[0].text for c in stream if c.choices) == answer.choices[0].text)


HELLO = [{"role": "user", "content": "Hello!"}]
SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"},
                                           "kind": {"type": "string", "enum": ["a", "b"]}},
          "required": ["ok", "kind"], "additionalProperties": False}
TOOL = {"type": "function", "function": {
    "name": "weather", "description": "Weather of a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
        "required": ["city"], "additionalProperties": False}}}


def ask(client, model, **fields):
    fields.setdefault("messages", HELLO)
    fields.setdefault("max_tokens", 200)
    fields.setdefault("temperature", 0)
    return client.chat.completions.create(model=model, **fields)


def content(answer):
    return answer.choices[0].message.content


def follows(text):
    value = json.loads(text)
    return isinstance(value["ok"], bool) and value["kind"] in ("a", "b")


def constraint_checks(client, model):
    schema_format = {"type": "json_schema",
                     "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    forms = {
        "response_format json_schema": {"response_format": schema_format},
        "structured_outputs json": {"extra_body": {"structured_outputs": {"json": SCHEMA}}},
        "guided_json": {"extra_body": {"guided_json": SCHEMA}},
        "json_schema": {"extra_body": {"json_schema": SCHEMA}},
    }
    for name, fields in forms.items():
        text = content(ask(client, model, **fields))
        check(name, follows(text), text)
    streamed = "".join(c.choices[0].delta.content or "" for c in ask(
        client, model, response_format=schema_format, stream=True) if c.choices)
    check("json_schema streamed", follows(streamed), streamed)
    several = ask(client, model, response_format=schema_format, n=3, temperature=1.0, seed=4)
    check("json_schema n=3", all(follows(c.message.content) for c in several.choices))
    answer = ask(client, model, response_format={"type": "json_object"}, max_tokens=300)
    check("json_object", answer.choices[0].finish_reason == "length" or
          isinstance(json.loads(content(answer)), dict), repr(content(answer))[:60])
    for name, value in {"guided_choice": ["yes", "no"], "guided_regex": "yes|no",
                        "guided_grammar": 'root ::= "yes" | "no"',
                        "grammar": 'root ::= "yes" | "no"',
                        "structured_outputs": {"choice": ["yes", "no"]}}.items():
        text = content(ask(client, model, extra_body={name: value}))
        check(name, text in ("yes", "no"), text)
    try:
        ask(client, model, extra_body={"grammar": "root ::= ("})
        check("wrong grammar", False)
    except openai.BadRequestError as error:
        check("wrong grammar", error.param == "grammar", error.message)


def tool_checks(client, model):
    named = {"type": "function", "function": {"name": "weather"}}
    for name, choice in {"tool_choice required": "required", "tool_choice named": named}.items():
        answer = ask(client, model, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
        calls = answer.choices[0].message.tool_calls
        check(name, len(calls) == 1 and calls[0].function.name == "weather" and
              json.loads(calls[0].function.arguments)["city"] in ("Oslo", "Rome") and
              answer.choices[0].finish_reason == "tool_calls", calls[0].function.arguments)
        arguments, ids, ends = "", [], []
        for chunk in ask(client, model, tools=[TOOL], tool_choice=choice, stream=True,
                         parallel_tool_calls=False):
            for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                ids += [call.id] if call.id else []
                arguments += call.function.arguments or ""
            if chunk.choices and chunk.choices[0].finish_reason:
                ends.append(chunk.choices[0].finish_reason)
        check(name + " streamed", len(ids) == 1 and ends == ["tool_calls"] and
              json.loads(arguments) == json.loads(calls[0].function.arguments), arguments)
    dialogue = HELLO + [
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function",
             "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"}]
    answer = ask(client, model, messages=dialogue, tools=[TOOL], tool_choice="none", max_tokens=8)
    check("tool result", content(answer) is not None and not answer.choices[0].message.tool_calls)
    answer = ask(client, model, tools=[TOOL], tool_choice="auto", max_tokens=8)
    check("tool_choice auto", answer.choices[0].finish_reason in ("stop", "length", "tool_calls"))
    try:
        ask(client, model, tool_choice="required")
        check("required without tools", False)
    except openai.BadRequestError as error:
        check("required without tools", error.param == "tool_choice", error.message)


def ending_checks(client, model):
    plain = ask(client, model, max_tokens=24)
    answer = ask(client, model, max_tokens=12, extra_body={"ignore_eos": True})
    check("ignore_eos", answer.usage.completion_tokens == 12)
    answer = ask(client, model, max_tokens=20, extra_body={"min_tokens": 20})
    check("min_tokens", answer.usage.completion_tokens == 20)
    ids = ask(client, model, max_tokens=24, extra_body={"return_token_ids": True})
    tokens = ids.choices[0].model_extra["token_ids"]
    check("return_token_ids", len(tokens) > 2)
    answer = ask(client, model, max_tokens=24, extra_body={"stop_token_ids": [tokens[2]]})
    at = tokens.index(tokens[2])
    check("stop_token_ids", answer.usage.completion_tokens == at + 1 and
          answer.choices[0].model_extra["stop_reason"] == tokens[2])
    biased = ask(client, model, max_tokens=4, logit_bias={str(tokens[0]): -1000},
                 extra_body={"return_token_ids": True})
    check("logit_bias", biased.choices[0].model_extra["token_ids"][:1] != tokens[:1])
    timings = plain.model_extra["timings"]
    check("timings", timings["predicted_n"] == plain.usage.completion_tokens and
          timings["cache_n"] + timings["prompt_n"] == plain.usage.prompt_tokens, timings)
    check("cached_tokens", plain.usage.prompt_tokens_details.cached_tokens >= 0 and
          plain.usage.completion_tokens_details.reasoning_tokens == 0)
    chunks = list(ask(client, model, max_tokens=6, stream=True, extra_body={
        "timings_per_token": True, "stream_options": {"include_usage": True,
                                                      "continuous_usage_stats": True}}))
    check("continuous usage", all(c.usage is not None for c in chunks))
    ignored = ask(client, model, max_tokens=2, user="u", metadata={"a": "b"}, store=True,
                  reasoning_effort="low", extra_body={"no_such_field": 1})
    check("further fields", ignored.choices[0].finish_reason in ("stop", "length"))
    answer = ask(client, model, max_tokens=4, messages=HELLO + [
        {"role": "assistant", "content": "Once"}], extra_body={"continue_final_message": True})
    check("continue_final_message", answer.usage.completion_tokens > 0, repr(content(answer)))
    try:
        ask(client, model, messages=[{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}])
        check("image refused", False)
    except openai.BadRequestError as error:
        check("image refused", True, error.message)


def responses_checks(client, model):
    create = client.responses.create
    answer = create(model=model, input="Hello!", max_output_tokens=24, temperature=0)
    check("responses", answer.object == "response" and answer.output_text and
          answer.status in ("completed", "incomplete"), repr(answer.output_text))
    events = list(create(model=model, input="Hello!", max_output_tokens=24, temperature=0,
                         stream=True))
    types = [e.type for e in events]
    check("responses stream", "".join(e.delta for e in events
                                      if e.type == "response.output_text.delta") ==
          answer.output_text and types[0] == "response.created" and
          types[-1] in ("response.completed", "response.incomplete"))
    check("sequence numbers", [e.sequence_number for e in events] == list(range(len(events))))
    check("responses retrieve", client.responses.retrieve(answer.id).output_text ==
          answer.output_text)
    following = create(model=model, input="And?", previous_response_id=answer.id,
                       max_output_tokens=8)
    check("previous_response_id", following.usage.input_tokens > answer.usage.input_tokens)
    check("input items", client.responses.input_items.list(answer.id).data[0].role == "user")
    counted = client.responses.input_tokens.count(model=model, input="Hello!")
    check("responses input_tokens", counted.input_tokens == answer.usage.input_tokens)
    client.responses.delete(answer.id)
    try:
        client.responses.retrieve(answer.id)
        check("responses delete", False)
    except openai.NotFoundError:
        check("responses delete", True)
    schema = {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": SCHEMA}}
    structured = create(model=model, input="JSON", text=schema, max_output_tokens=200)
    check("text.format", follows(structured.output_text), structured.output_text)
    tool = {"type": "function", "strict": True, **TOOL["function"]}
    called = create(model=model, input="Weather?", tools=[tool], tool_choice="required",
                    parallel_tool_calls=False, max_output_tokens=200)
    call = next(item for item in called.output if item.type == "function_call")
    check("responses call", json.loads(call.arguments)["city"] in ("Oslo", "Rome"), call.arguments)
    with client.responses.stream(model=model, input="Weather?", tools=[tool],
                                 tool_choice="required", parallel_tool_calls=False,
                                 max_output_tokens=200) as stream:
        final = stream.get_final_response()
    check("responses call streamed", any(item.type == "function_call" for item in final.output))
    back = create(model=model, max_output_tokens=8, input=[
        {"role": "user", "content": "Weather?"}, call.to_dict(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}])
    check("function_call_output", back.usage.input_tokens > 0)


def post(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())


def token_checks(url, client, model):
    vllm = post(url, "/tokenize", {"prompt": "Once upon a time"})
    llama = post(url, "/tokenize", {"content": "Once upon a time", "with_pieces": True})
    check("tokenize", vllm["tokens"] == [t["id"] for t in llama["tokens"]] and
          vllm["count"] == len(vllm["tokens"]), vllm["tokens"])
    back = post(url, "/detokenize", {"tokens": vllm["tokens"]})
    check("detokenize", back["prompt"] == back["content"] == "Once upon a time")
    prompt = post(url, "/apply-template", {"messages": HELLO})["prompt"]
    check("apply-template", "Hello!" in prompt, repr(prompt))
    counted = post(url, "/v1/chat/completions/input_tokens", {"messages": HELLO})
    answer = ask(client, model, max_tokens=1)
    check("input_tokens", counted["input_tokens"] == answer.usage.prompt_tokens ==
          post(url, "/tokenize", {"messages": HELLO})["count"])


def surface_checks(client, url):
    models = client.models.list().data
    check("models", len(models) == 1 and models[0].object == "model", models[0].id)
    check("model by name", client.models.retrieve(models[0].id).id == models[0].id)
    status, health = get(url, "/health")
    check("health", status == 200 and health["status"] == "ok", health)
    hello = [{"role": "user", "content": "x"}]
    try:
        client.chat.completions.create(model=models[0].id, messages=hello, temperature=-1)
        check("wrong value", False)
    except openai.BadRequestError as error:
        check("wrong value", error.param == "temperature", error.message)
    try:
        client.chat.completions.create(model="no-such-model", messages=hello)
        check("wrong model", False)
    except openai.NotFoundError as error:
        check("wrong model", error.code == "model_not_found", error.message)
    try:
        client.completions.create(model=models[0].id, prompt="word " * 200000)
        check("long prompt", False)
    except openai.BadRequestError as error:
        check("long prompt", error.code == "context_length_exceeded", error.message)
    return models[0].id


async def concurrent_checks(url, model, count):
    client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", timeout=600, max_retries=0)

    async def one(i):
        messages = [{"role": "user", "content": f"Question {i}: what is {i} and {i}?"}]
        kwargs = {"model": model, "messages": messages, "max_tokens": 16, "temperature": 0}
        if i % 2 == 0:
            answer = await client.chat.completions.create(**kwargs)
            return answer.choices[0].message.content
        text = ""
        async for chunk in await client.chat.completions.create(**kwargs, stream=True):
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
        return text

    begin = time.time()
    together = await asyncio.gather(*(one(i) for i in range(count)), return_exceptions=True)
    lost = [a for a in together if isinstance(a, BaseException)]
    check(f"{count} at once, none lost", not lost, f"{time.time() - begin:.1f} s {lost[:1] or ''}")
    alone = [await one(i) for i in range(4)]
    check("alone and together agree", alone == together[:4])


def disconnect_check(client, url, model):
    stream = client.chat.completions.create(model=model, max_tokens=2000, stream=True,
                                            temperature=1.5, messages=[
                                                {"role": "user", "content": "Tell me a story."}])
    next(iter(stream))
    stream.close()
    begin = time.time()
    client.chat.completions.create(model=model, max_tokens=1, messages=[
        {"role": "user", "content": "Are you there?"}])
    check("after a disconnect", True, f"next answer in {time.time() - begin:.2f} s")


def many_streams_check(server, count):
    """Raw sockets, so that the client is light: all open at one time, all answered."""
    body = json.dumps({"stream": True, "max_tokens": 2, "temperature": 0, "messages": [
        {"role": "user", "content": "Hi"}]}).encode()
    request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
               b"Content-Length: %d\r\n\r\n" % len(body)) + body
    before = server.status("VmRSS"), server.status("Threads")
    begin = time.time()
    sockets = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=600)
        connection.sendall(request)
        sockets.append(connection)
    memory, threads = server.status("VmRSS") - before[0], server.status("Threads")
    whole = 0
    for connection in sockets:
        reply = b""
        while part := connection.recv(65536):
            reply += part
        whole += reply.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        connection.close()
    check(f"{count} open streams", whole == count and threads == before[1],
          f"{whole} whole, {memory / 1024:.1f} MB more while open, {threads} threads, "
          f"{time.time() - begin:.1f} s")


def end_check(server, model):
    """SIGTERM under load: what runs is finished, nothing is taken any more, status 0."""
    body = json.dumps({"stream": True, "max_tokens": 60, "temperature": 1.5, "seed": 3,
                       "messages": [{"role": "user", "content": "Hello"}]}).encode()
    request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
               b"Content-Length: %d\r\n\r\n" % len(body)) + body
    sockets = []
    for _ in range(8):
        sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        sockets[-1].sendall(request)
    replies = [s.recv(65536) for s in sockets]  # each has begun
    server.process.send_signal(signal.SIGTERM)
    for i, connection in enumerate(sockets):
        while part := connection.recv(65536):
            replies[i] += part
    check("SIGTERM lets answers finish", all(b"[DONE]" in r for r in replies))
    check("SIGTERM ends with 0", server.process.wait(40) == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--url", help="of a running server; then nothing is started or ended")
    parser.add_argument("--streams", type=int, default=1000)
    args = parser.parse_args()
    server = None if args.url else Server(args.mica, args.model, "--max-queue", "4000")
    url = args.url or server.url
    client = openai.OpenAI(base_url=url + "/v1", api_key="none", timeout=600, max_retries=0)
    model = surface_checks(client, url)
    chat_checks(client, model)
    text_checks(client, model)
    constraint_checks(client, model)
    tool_checks(client, model)
    ending_checks(client, model)
    responses_checks(client, model)
    token_checks(url, client, model)
    asyncio.run(concurrent_checks(url, model, 32))
    disconnect_check(client, url, model)
    if server:
        many_streams_check(server, args.streams)
        end_check(server, model)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
