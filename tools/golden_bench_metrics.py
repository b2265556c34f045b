#!/usr/bin/env python3
"""Writes tests/golden/bench_metrics.json: one recorded run and its figures by the formulas of `vllm bench serve`.

    pip install numpy
    python tools/golden_bench_metrics.py --record http://127.0.0.1:8080   # records, then computes
    python tools/golden_bench_metrics.py                                  # computes anew

The formulas were learnt from vllm/benchmarks/serve.py and lib/endpoint_request_func.py (read in
2026): TTFT is the time from sending to the first message with choices, ITL the gaps between such
messages, E2EL the time to the last of them, TPOT (E2EL - TTFT) / (tokens - 1) where there is more
than one, std the population's, percentiles numpy's default.
"""
import argparse
import http.client
import json
import pathlib
import threading
import time
import urllib.parse

import numpy as np

PATH = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/bench_metrics.json"
PERCENTILES = (90, 95, 99)
LIMITS_MS = {"ttft": 30, "tpot": 6, "e2el": 250}
CLIENTS, REQUESTS = 3, 36


def body_of(number, model):
    """Every sixth asks for one token; every eleventh is refused by the server."""
    tokens = 1 if number % 6 == 5 else 16 + 6 * (number % 7)
    content = f"Request {number}: tell a story about a mill." + " It turned." * (number % 5)
    body = {"model": model, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": -1 if number % 11 == 10 else tokens}
    return json.dumps(body)


def stream(url, model, number, begin):
    """One request: its times since `begin` and the kinds of its messages: r(ole), t(oken), u(sage)."""
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.connect()
    sent = time.perf_counter() - begin
    record = {"sent": sent, "ok": False, "times": [], "kinds": "", "prompt_tokens": -1, "completion_tokens": -1}
    connection.request("POST", "/v1/chat/completions", body_of(number, model), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    for line in answer:
        now = time.perf_counter() - begin
        if answer.status != 200 or not line.startswith(b"data: ") or b"[DONE]" in line:
            continue
        message = json.loads(line[6:])
        if message.get("choices"):
            delta = message["choices"][0]["delta"]
            text = delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning")
            record["kinds"] += "t" if text else "r"
        else:
            record["kinds"] += "u"
            record["prompt_tokens"] = message["usage"]["prompt_tokens"]
            record["completion_tokens"] = message["usage"]["completion_tokens"]
        record["times"].append(round(now, 6))
    record["ok"] = answer.status == 200
    record["sent"] = round(sent, 6)
    record["ended"] = round(time.perf_counter() - begin, 6)
    return record


def record_run(base):
    url = urllib.parse.urlparse(base)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("GET", "/v1/models")
    model = json.load(connection.getresponse())["data"][0]["id"]
    records, numbers, lock = [None] * REQUESTS, iter(range(REQUESTS)), threading.Lock()
    begin = time.perf_counter()

    def client():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            records[number] = stream(url, model, number, begin)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return {"duration": round(time.perf_counter() - begin, 6), "requests": records}


def add_statistics(figures, name, values):
    values = np.array(values or [0.0])
    figures[f"mean_{name}_ms"] = values.mean() * 1000
    figures[f"median_{name}_ms"] = np.median(values) * 1000
    figures[f"std_{name}_ms"] = values.std() * 1000
    for percent in PERCENTILES:
        figures[f"p{percent}_{name}_ms"] = np.percentile(values, percent) * 1000


def peak_open(spans):
    """The most half-open intervals that share a moment."""
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return int(np.cumsum([change for _, change in changes]).max())


def figures_of(run):
    done = []
    for request in run["requests"]:
        choices = [t for t, kind in zip(request["times"], request["kinds"]) if kind != "u"]
        if request["ok"] and choices:
            done.append((request, np.array(choices)))
    ttft = [c[0] - r["sent"] for r, c in done]
    e2el = [c[-1] - r["sent"] for r, c in done]
    tokens = [r["completion_tokens"] for r, _ in done]
    tpot = [(e - t) / (n - 1) if n > 1 else 0.0 for t, e, n in zip(ttft, e2el, tokens)]
    figures = {}
    add_statistics(figures, "ttft", ttft)
    add_statistics(figures, "tpot", [value for value, n in zip(tpot, tokens) if n > 1])
    add_statistics(figures, "itl", [gap for _, c in done for gap in np.diff(c)])
    add_statistics(figures, "e2el", e2el)
    prompts, seconds = sum(r["prompt_tokens"] for r, _ in done), run["duration"]
    limits = {key: ms / 1000 for key, ms in LIMITS_MS.items()}
    good = sum(t <= limits["ttft"] and p <= limits["tpot"] and e <= limits["e2el"]
               for t, p, e in zip(ttft, tpot, e2el))
    first = min(r["sent"] for r, _ in done)
    in_second = np.bincount(np.concatenate([c - first for _, c in done]).astype(int))
    figures.update(
        completed=len(done), failed=len(run["requests"]) - len(done),
        total_input_tokens=prompts, total_output_tokens=sum(tokens),
        request_throughput=len(done) / seconds, request_goodput=good / seconds,
        output_throughput=sum(tokens) / seconds, total_token_throughput=(prompts + sum(tokens)) / seconds,
        max_output_tokens_per_s=int(in_second.max()),
        max_concurrent_requests=peak_open([(r["sent"], c[-1]) for r, c in done]))
    return {key: float(value) for key, value in figures.items()}


def write(run):
    """One request a line."""
    requests = ",\n    ".join(json.dumps(request, separators=(",", ":")) for request in run["requests"])
    figures = json.dumps(figures_of(run), indent=1).replace("\n", "\n ")
    limits = ",".join(f"{key}:{ms}" for key, ms in LIMITS_MS.items())
    PATH.write_text(f'{{"limits": "{limits}",\n "duration": {run["duration"]},\n "requests": [\n    {requests}],\n'
                    f' "figures": {figures}}}\n')


parser = argparse.ArgumentParser()
parser.add_argument("--record", metavar="URL", help="of a running server")
arguments = parser.parse_args()
if arguments.record:
    write(record_run(arguments.record))
else:
    write(json.loads(PATH.read_text()))
