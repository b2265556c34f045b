#!/usr/bin/env python3
"""A scripted engine for the tests of a launch: what it does wrong is said by flags."""
import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

flags = argparse.ArgumentParser(allow_abbrev=False)
flags.add_argument("--host", default="127.0.0.1")
flags.add_argument("--port", type=int, required=True)
flags.add_argument("--model", default="tiny")
flags.add_argument("--owner", default="fake")             # field owned_by of the list of models
flags.add_argument("--version", default="1.2.3")
flags.add_argument("--port-after", type=float, default=0)  # seconds
flags.add_argument("--healthy-after", type=float, default=0)
flags.add_argument("--listed-after", type=float, default=0)
flags.add_argument("--say", action="append", default=[])   # lines of its log
flags.add_argument("--die-after", type=float)
flags.add_argument("--die-on-token", action="store_true")
flags.add_argument("--status", type=int, default=1)
flags.add_argument("--token", default="ok", choices=["ok", "hang", "error", "empty"])
flags.add_argument("--key", default="")
flags.add_argument("--flood", type=int, default=0)          # MiB of log after the first token
flags.add_argument("--ignore", default="")                 # signals: INT,TERM
flags.add_argument("--children", type=int, default=0)      # every second one in a session of its own
args = flags.parse_args()

begin = time.time()
for name in filter(None, args.ignore.split(",")):
    signal.signal(getattr(signal, "SIG" + name), signal.SIG_IGN)
for i in range(args.children):
    subprocess.Popen(["sleep", "1000"], start_new_session=i % 2 == 1, stdin=subprocess.DEVNULL)
for line in args.say:
    print(line, file=sys.stderr, flush=True)


def leave():
    sys.stdout.flush()
    os._exit(args.status)


if args.die_after is not None:
    threading.Timer(args.die_after, leave).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def reply(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        age = time.time() - begin
        if args.key and self.headers.get("Authorization") != "Bearer " + args.key:
            self.reply({"error": "no key"}, 401)
        elif age < args.healthy_after:
            self.reply({"error": "loading"}, 503)
        elif self.path == "/health":
            self.reply({"status": "ok"})
        elif self.path == "/v1/models":
            names = [args.model] if age >= args.listed_after else []
            self.reply({"object": "list",
                        "data": [{"id": name, "owned_by": args.owner} for name in names],
                        "server": args.owner})
        elif self.path == "/version":
            self.reply({"version": args.version})
        else:
            self.reply({"error": "not found"}, 404)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if args.die_on_token:
            leave()
        if args.token == "hang":
            time.sleep(1000)
        if args.token == "error":
            return self.reply({"error": {"message": "the GPU is on fire"}}, 500)
        text = "" if args.token == "empty" else "hi"
        self.reply({"choices": [{"message": {"content": text}, "finish_reason": "length"}],
                    "usage": {"prompt_tokens": 3, "completion_tokens": len(text) and 1}})
        line = "x" * 119
        for _ in range(args.flood * 1024 * 1024 // 120):
            print(line)


time.sleep(args.port_after)
server = http.server.ThreadingHTTPServer((args.host, args.port), Handler)
server.daemon_threads = True
print("listening", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("interrupted", flush=True)
