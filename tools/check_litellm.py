#!/usr/bin/env python3
"""Puts the LiteLLM proxy in front of a running Mica server and asks through it, as both dialects.

    pip install 'litellm[proxy]' openai anthropic
    tools/check_litellm.py --url http://127.0.0.1:8080

Prints one line per check; the exit status is the number of failed ones.
"""

import argparse
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import anthropic
import openai

CONFIG = """
model_list:
  - model_name: mica
    litellm_params:
      model: openai/default_model
      api_base: {url}/v1
      api_key: none
  - model_name: mica-messages
    litellm_params:
      model: anthropic/default_model
      api_base: {url}
      api_key: none
"""
KEY = "sk-" + secrets.token_hex(16)  # the proxy asks for one
HELLO = [{"role": "user", "content": "Hello!"}]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_proxy(url):
    folder = tempfile.mkdtemp()
    config = pathlib.Path(folder) / "config.yaml"
    config.write_text(CONFIG.format(url=url))
    port = free_port()
    program = pathlib.Path(sys.executable).with_name("litellm")
    process = subprocess.Popen([str(program), "--config", str(config), "--host", "127.0.0.1",
                                "--port", str(port)], env={**os.environ, "LITELLM_MASTER_KEY": KEY},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proxy = f"http://127.0.0.1:{port}"
    for _ in range(240):
        if process.poll() is not None:
            sys.exit("the proxy ended")
        try:
            urllib.request.urlopen(proxy + "/health/liveliness", timeout=2)
            return process, proxy
        except OSError:
            time.sleep(0.5)
    process.terminate()
    sys.exit("the proxy did not answer")


def checks(proxy):
    client = openai.OpenAI(base_url=proxy + "/v1", api_key=KEY, timeout=120, max_retries=0)
    for model in ("mica", "mica-messages"):
        fields = {"model": model, "messages": HELLO, "max_tokens": 16}
        answer = client.chat.completions.create(**fields)
        yield f"{model}: chat", answer.choices[0].message.content
        text = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(
            **fields, stream=True) if c.choices)
        yield f"{model}: chat streamed", text == answer.choices[0].message.content
    claude = anthropic.Anthropic(base_url=proxy, api_key=KEY, timeout=120, max_retries=0)
    message = claude.messages.create(model="mica", messages=HELLO, max_tokens=16)
    yield "mica: messages", message.content[0].text


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="of a running Mica server")
    args = parser.parse_args()
    process, proxy = start_proxy(args.url)
    count = failed = 0
    try:
        for name, ok in checks(proxy):
            print(f"{'ok  ' if ok else 'FAIL'} {name}", flush=True)
            count += 1
            failed += not ok
    finally:
        process.terminate()
        process.wait(20)
    print(f"{count} checks, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
