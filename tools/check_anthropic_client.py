#!/usr/bin/env python3
"""Runs the official Anthropic client against a Mica server: messages, streams, tools, errors.

    pip install anthropic
    tools/check_anthropic_client.py --mica build/mica --model models/demo     # starts a server
    tools/check_anthropic_client.py --url http://127.0.0.1:8080               # uses a running one

Prints one line per check and their count; the exit status is the number of failed ones.
"""

import argparse
import sys

import anthropic

from mica_server import Checks, Server

check = Checks()

HELLO = [{"role": "user", "content": "Hello!"}]
TOOL = {"name": "weather", "description": "Weather of a city", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
    "required": ["city"], "additionalProperties": False}}


def ask(client, model, **fields):
    fields.setdefault("messages", HELLO)
    fields.setdefault("max_tokens", 24)
    return client.messages.create(model=model, **fields)


def message_checks(client, model):
    answer = ask(client, model)
    text = answer.content[0].text
    check("message", answer.type == "message" and answer.role == "assistant" and text and
          answer.stop_reason in ("end_turn", "max_tokens"), repr(text))
    check("usage", answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 0 and
          answer.usage.output_tokens > 0, answer.usage.to_dict())
    counted = client.messages.count_tokens(model=model, messages=HELLO)
    again = ask(client, model)
    check("count_tokens", counted.input_tokens ==
          again.usage.input_tokens + again.usage.cache_read_input_tokens)
    with client.messages.stream(model=model, messages=HELLO, max_tokens=24) as stream:
        types = {event.type for event in stream}
        final = stream.get_final_message()
    check("stream", final.content[0].text == text and final.stop_reason == answer.stop_reason)
    check("events", {"message_start", "content_block_start", "content_block_delta",
                     "content_block_stop", "message_delta", "message_stop"} <= types, types)
    check("stream usage", final.usage.output_tokens == answer.usage.output_tokens)
    if len(text) > 8:
        stopped = ask(client, model, stop_sequences=[text[4:7]])
        check("stop_sequences", stopped.stop_reason == "stop_sequence" and
              stopped.stop_sequence == text[4:7] and
              stopped.content[0].text == text[:text.index(text[4:7])])
    check("max_tokens", ask(client, model, max_tokens=1).stop_reason in ("max_tokens", "end_turn"))
    system = ask(client, model, system=[{"type": "text", "text": "Be brief.",
                                         "cache_control": {"type": "ephemeral"}}])
    check("system", system.usage.input_tokens + system.usage.cache_read_input_tokens >
          counted.input_tokens)
    prefill = ask(client, model, messages=HELLO + [{"role": "assistant", "content": "Once"}])
    check("prefill", prefill.usage.output_tokens > 0)
    # Not every version of the client knows all fields.
    sampled = ask(client, model, metadata={"user_id": "u"},
                  extra_body={"temperature": 0.9, "top_p": 0.9, "top_k": 20})
    check("sampling", sampled.usage.output_tokens > 0)
    thinking = ask(client, model, extra_body={"thinking": {"type": "disabled"}})
    check("thinking disabled", thinking.content[0].type == "text")
    thinking = ask(client, model, max_tokens=2000,
                   extra_body={"thinking": {"type": "enabled", "budget_tokens": 1024}})
    check("thinking enabled", thinking.usage.output_tokens > 0)
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
              "additionalProperties": False}
    structured = ask(client, model, max_tokens=100, extra_body={
        "output_config": {"format": {"type": "json_schema", "schema": schema}}})
    check("output_config.format", '"ok"' in structured.content[0].text,
          structured.content[0].text)


def tool_checks(client, model):
    choices = {"any": {"type": "any", "disable_parallel_tool_use": True},
               "tool": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}}
    for name, choice in choices.items():
        answer = ask(client, model, tools=[TOOL], tool_choice=choice, max_tokens=200)
        call = answer.content[-1]
        check(f"tool_choice {name}", call.type == "tool_use" and answer.stop_reason == "tool_use" and
              call.input["city"] in ("Oslo", "Rome"), call.input)
        with client.messages.stream(model=model, messages=HELLO, tools=[TOOL], tool_choice=choice,
                                    max_tokens=200) as stream:
            final = stream.get_final_message()
        check(f"tool_choice {name} streamed", final.content[-1].input == call.input)
    auto = ask(client, model, tools=[TOOL], tool_choice={"type": "auto"})
    check("tool_choice auto", auto.stop_reason in ("end_turn", "max_tokens", "tool_use"))
    none = ask(client, model, tools=[TOOL], tool_choice={"type": "none"})
    check("tool_choice none", all(block.type == "text" for block in none.content))
    back = ask(client, model, tools=[TOOL], messages=HELLO + [
        {"role": "assistant", "content": [call.to_dict()]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                      "content": [{"type": "text", "text": "sunny"}]}]}])
    check("tool_result", back.usage.output_tokens > 0)


def error_checks(client, model):
    image = [{"role": "user", "content": [{"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": "AAAA"}}]}]
    wrong = {"temperature": {"extra_body": {"temperature": -1}}, "image": {"messages": image},
             "empty messages": {"messages": []},
             "tool_choice": {"tool_choice": {"type": "any"}}}
    for name, fields in wrong.items():
        try:
            ask(client, model, **fields)
            check(name + " refused", False)
        except anthropic.BadRequestError as error:
            check(name + " refused", error.body["error"]["type"] == "invalid_request_error",
                  error.body["error"]["message"])
    try:
        ask(client, "no-such-model")
        check("wrong model", False)
    except anthropic.NotFoundError as error:
        check("wrong model", error.body["error"]["type"] == "not_found_error")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--url", help="of a running server; then nothing is started or ended")
    args = parser.parse_args()
    server = None if args.url else Server(args.mica, args.model)
    url, model = (args.url, "default_model") if args.url else (server.url, server.model)
    client = anthropic.Anthropic(base_url=url, api_key="none", timeout=600, max_retries=0)
    message_checks(client, model)
    tool_checks(client, model)
    error_checks(client, model)
    if server:
        check("ends with 0", server.end() == 0)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
