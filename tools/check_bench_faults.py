#!/usr/bin/env python3
"""Runs `mica bench` against the scripted engine with each fault of its script: the fault is reported
as what it is, the exit status is its own, finished requests are kept, nothing is left running.

    tools/check_bench_faults.py [--mica build/mica] [--engine build/fake_engine] [--only NAME]
    tools/check_bench_faults.py --kills 20      SIGKILL to Mica at random moments instead: the next
                                                start leaves nothing running, finished requests stay

Prints one line per fault; the exit status is 1 when one is reported as something else.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import urllib.request

DESCRIPTOR = """name: fake
title: Scripted engine
source: tests/fake_engine
formats: [mlx]
names_model: argument
cpu: true
process:
  program: ["%s"]
  arguments: [host, port]
  port: 8000
settings:
  model: {words: [--model, "{}"]}
  host: {words: [--host, "{}"]}
  port: {words: [--port, "{}"]}
  served_name: {words: [--model-name, "{}"]}
probes: {health: /health, models: /v1/models, identity: '"vllm"', version: /version}
dialect: {stream_usage: true, ignore_eos: true, min_tokens: true}
deadlines: {start: 3, ready: 4, first_token: 4}
"""
FIRST = 16  # request that gets the fault: the launch, two rounds of warm-up and some of the load before


def during(kind, more=""):
    return f'faults=[{{"kind": "{kind}", "first": {FIRST}, "count": 2{more}}}]'


# name: (script, exit status, what the output or the run says, runs that are kept)
AT_START = {
    "no port": (["start.listen_ms=100000"], 5, "has not opened port", 1),
    "no health": (["start.health_ms=100000"], 5, "is not ready", 1),
    "another model": (['model="other"'], 5, "serves 'other', not", 1),
    "no model": (["start.models_ms=100000"], 5, "serves nothing", 1),
    "no token": (["start.generate_ms=100000"], 5, "first_token", 1),
    "another service": (['start.identity="web"'], 5, "is answered by", 1),
    "no HTTP": (['start.identity="ssh"'], 5, "does not speak HTTP", 1),
    "says nothing": (['start.identity="silent"'], 5, "identity", 1),
    "ends": (["start.exit_ms=300", "start.exit_status=9", "start.health_ms=100000"], 5,
             "exit status 9", 1),
    "out of memory": (['start.failure="out_of_memory"'], 3, "The GPU's memory is full", 1),
    "no kernel": (['start.failure="no_kernel"'], 3, "cause:", 1),
    "a driver too old": (['start.failure="driver"'], 3, "cause:", 1),
    "architecture": (['start.failure="architecture"'], 5, "cause:", 1),
    "tokenizer": (['start.failure="tokenizer"'], 5, "cause:", 1),
    "first request fails": (['faults=[{"kind": "status", "at": "head"}]'], 5, "first_token", 1),
    "first answer empty": (['faults=[{"kind": "empty"}]'], 5, "first_token", 1),
    "ignores signals": (["start.ignore_sigterm=true", "start.children=2", 'model="other"'], 5,
                        "serves 'other', not", 1),
}
IN_LOAD = {
    "hang": ([during("hang")], 7, "2 timeout", 1),
    "drop": ([during("drop")], 7, "2 dropped", 1),
    "reset": ([during("reset")], 7, "2 dropped", 1),
    "crash": ([during("crash")], 5, "signal", 1),
    "exit": ([during("exit", ', "status": 7')], 5, "exit status 7", 1),
    "status 503": ([during("status", ', "status": 503, "at": "head"')], 7, "2 http_error", 1),
    "garbage": ([during("garbage", ', "at": "head"')], 7, "2 malformed", 1),
    "error event": ([during("error_event")], 7, "2 server_error", 1),
    "invalid JSON": ([during("invalid_json")], 7, "2 malformed", 1),
    "partial JSON": ([during("partial_json")], 7, "2 dropped", 1),
    "oversized event": ([during("oversized")], 7, "2 malformed", 1),
    "no [DONE]": ([during("no_done")], 7, "2 malformed", 1),
    "short": ([during("short")], 6, "tokens", 1),
    "endless": ([during("endless")], 7, "2 timeout", 1),
    "empty": ([during("empty")], 6, "empty", 1),
    "whole": ([during("whole")], 7, "2 malformed", 1),
    "pause": ([during("pause", ', "ms": 300')], 0, "", 1),
    "log flood": ([during("log_flood", ', "bytes": 4000000')], 0, "", 1),
}


def left_running(home):
    """Processes that have this test's state folder in their environment."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f"XDG_STATE_HOME={home}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:
            pass
    return found


def command(flags, folder, script, *more):
    (folder / "backends").mkdir(parents=True, exist_ok=True)
    (folder / "backends/fake.yaml").write_text(
        DESCRIPTOR % pathlib.Path(flags.engine).resolve())
    argv = [flags.mica, "bench", flags.model, "--backend", "fake", "--launch", "process",
            "--backends-dir", str(folder / "backends"), "--served-name", "demo",
            "--input-tokens", "16", "--output-tokens", "8", "--concurrency", "2",
            "--requests", "12", "--warm-up-rounds", "2", "--no-output-check", "--timeout", "3",
            "--first-token-timeout", "3", "--results", str(folder / "results"), *more]
    for change in script + ["timing.first_token_ms=10", "timing.interval_ms=2"]:
        argv += ["--extra-arg=--set", "--extra-arg=" + change]
    return argv, dict(os.environ, XDG_STATE_HOME=str(folder), XDG_CONFIG_HOME=str(folder))


def run(flags, folder, script, *more):
    argv, environment = command(flags, folder, script, *more)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def kept_requests(folder):
    """Of all runs, warm-up included."""
    return sum(request["status"] == "ok" for file in (folder / "results/runs").glob("*.json")
               for request in json.loads(file.read_text())["requests"])


def answered():
    """How many requests the engine that still runs has answered, the launch's one left out."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:8000/fake/timeline", timeout=5) as page:
            requests = json.load(page)["requests"]
    except OSError:
        return 0
    return max(0, sum(request["outcome"] == "done" for request in requests) - 1)


def check_kill(flags, moment):
    with tempfile.TemporaryDirectory() as temp:
        folder = pathlib.Path(temp)
        argv, environment = command(flags, folder, ["answer.tokens=8"], "--group", "killed")
        argv[argv.index("--requests") + 1] = "2000"
        process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.kill()
        process.wait()
        done = answered()  # up to two of them were on their way to Mica
        found, output = run(flags, folder, [], "--group", "next")
        kept = kept_requests(folder) - 12 - 8  # of the second start: its load and its warm-up
        left = left_running(temp)
        problems = []
        if found != 0:
            problems.append(f"the next start ends with {found}: {output[-300:]}")
        if kept < done - 2:
            problems.append(f"{kept} requests are kept")
        if left:
            problems.append(f"left running: {left}")
        print(f"{'ok  ' if not problems else 'FAIL'} killed after {moment:.2f} s: the engine had "
              f"answered {done}, {max(kept, 0)} are kept; nothing is left running"
              if not problems else f"FAIL killed after {moment:.2f} s: {'; '.join(problems)}",
              flush=True)
        return not problems


def check(flags, name, case):
    script, status, says, kept = case
    with tempfile.TemporaryDirectory() as temp:
        folder = pathlib.Path(temp)
        begin = time.monotonic()
        found, output = run(flags, folder, script)
        seconds = time.monotonic() - begin
        files = list((folder / "results/runs").glob("*.json"))
        text = output + "".join(file.read_text() for file in files)
        finished = sum(request["status"] == "ok" for file in files
                       for request in json.loads(file.read_text())["requests"])
        problems = []
        if found != status:
            problems.append(f"exit status {found}, expected {status}")
        if says not in text:
            problems.append(f"does not say '{says}'")
        if len(files) != kept:
            problems.append(f"{len(files)} runs are kept, expected {kept}")
        at_start = name in AT_START  # the failed start is what is kept
        if not at_start and finished < 8:
            problems.append(f"only {finished} finished requests are kept")
        left = left_running(temp)
        if left:
            problems.append(f"left running: {left}")
        print(f"{'ok  ' if not problems else 'FAIL'} {name:20} status {found:3}, {finished:2} "
              f"finished requests kept, {seconds:4.1f} s{'; ' if problems else ''}"
              f"{'; '.join(problems)}", flush=True)
        if problems and flags.verbose:
            print("     | " + "\n     | ".join(output.strip().splitlines()[-14:]))
        return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--engine", default="build/fake_engine")
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--only", help="faults whose name has this in it")
    parser.add_argument("--kills", type=int, default=0, help="so many, in place of the faults")
    parser.add_argument("--verbose", action="store_true")
    flags = parser.parse_args()
    if flags.kills:
        moments = random.Random(5)
        failed = [not check_kill(flags, moments.uniform(0, 4)) for _ in range(flags.kills)]
        print(f"{flags.kills} kills, {sum(failed)} with a loss")
        return 1 if any(failed) else 0
    cases = {**AT_START, **IN_LOAD}
    chosen = {name: case for name, case in cases.items() if (flags.only or "") in name}
    failed = [name for name, case in chosen.items() if not check(flags, name, case)]
    print(f"{len(chosen)} faults, {len(failed)} reported as something else")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
