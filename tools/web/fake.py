"""A server for the web page's tests: the files of web/ under the program's own headers, and answers
that are cut, slow, wrong or hostile on demand. The last user message says which."""

import http.server
import json
import math
import pathlib
import re
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
}
# As in web_files.cpp, so that what works here works there.
POLICY = "".join(
    re.findall(
        r'"([^"]*)"',
        re.search(
            r"kContentSecurityPolicy =\n(.*?);\n",
            (ROOT / "src/server/web_files.cpp").read_text(),
            re.S,
        )[1],
    )
)
SAMPLE = (ROOT / "web/tests/sample.md").read_text()
HOSTILE = (ROOT / "web/tests/hostile.md").read_text()


def delta(**fields):
    return {
        "model": "org/Sample-8B-4bit",
        "choices": [{"index": 0, "delta": fields, "finish_reason": None}],
    }


def ending(reason="stop", tokens=212):
    return [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 384,
                "completion_tokens": tokens,
                "prompt_tokens_details": {"cached_tokens": 352},
            },
            "timings": {"predicted_per_second": 61.7},
        },
    ]


def pieces(text, size=7):
    return [text[i : i + size] for i in range(0, len(text), size)]


def tool_call(index, name, arguments):
    first = {
        "index": index,
        "id": f"call_{index}",
        "type": "function",
        "function": {"name": name, "arguments": ""},
    }
    return [delta(tool_calls=[first])] + [
        delta(tool_calls=[{"index": index, "function": {"arguments": piece}}])
        for piece in pieces(arguments, 5)
    ]


THOUGHT = (
    "The question is about *two* cities.\n\n1. Find the weather of each.\n2. Compare them, in one "
    "table.\n\nI should not guess."
)


def script(body):
    last = body["messages"][-1]
    if last["role"] == "tool":
        return [delta(content=f"It is {last['content']}.")] + ending()
    asked = last["content"]
    if asked in ("sample", "How does binary search work?"):
        return [delta(content=p) for p in pieces(SAMPLE)] + ending()
    if asked == "hostile":
        return [delta(content=p) for p in pieces(HOSTILE)] + ending()
    if asked == "think":
        return (
            [delta(reasoning_content=p) for p in pieces(THOUGHT)]
            + [delta(content=p) for p in pieces("Both are **mild** today.")]
            + ending()
        )
    if asked == "think tags":
        return [
            delta(content=p)
            for p in pieces("<think>" + THOUGHT + "</think>\n\nBoth are **mild** today.", 3)
        ] + ending()
    if asked == "tools":
        return (
            [delta(reasoning=THOUGHT)]
            + tool_call(0, "get_weather", '{"city":"Zürich","units":"celsius","days":[1,2]}')
            + tool_call(1, "get_weather", '{"city":"Oslo","units":"celsius"}')
            + ending("tool_calls")
        )
    if asked == "limit":
        return [delta(content="And so on and")] + ending("length", 4)
    return [delta(content=p) for p in pieces(f"You said: {asked}")] + ending()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/health":
            return self.answer(
                200, {"status": "ok", "device": "cpu: Sample CPU", "model": "org/Sample-8B-4bit"}
            )
        if path == "/v1/models":
            return self.answer(200, {"data": [{"id": name} for name in self.server.models]})
        if path == "/metrics":
            if not self.server.has_metrics:
                return self.answer(404, {"error": {"message": "there is no /metrics"}})
            return self.answer(200, metrics(time.time() - self.server.began).encode(), "text/plain")
        file = ROOT / ("web/index.html" if path == "/" else path[1:])
        if not (path == "/" or path.startswith("/web/")) or ".." in path or not file.is_file():
            return self.answer(404, {"error": {"message": f"there is no {path}"}})
        # The tests' own page compares text with markup, which needs sinks that the policy forbids.
        policy = POLICY if not path.startswith("/web/tests/") else "default-src 'self'"
        return self.answer(
            200,
            file.read_bytes(),
            TYPES[file.suffix],
            Content_Security_Policy=policy,
            X_Content_Type_Options="nosniff",
            Cache_Control="no-cache",
        )

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        asked = body["messages"][-1]["content"]
        if self.server.loading > 0:
            self.server.loading -= 1
            return self.answer(
                503,
                {"error": {"message": "the model is still loading", "code": "model_loading"}},
                Retry_After="1",
            )
        if asked == "busy":
            return self.answer(
                429, {"error": {"message": "the queue is full (64 requests wait)"}}, Retry_After="3"
            )
        if asked == "key" and self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401, {"error": {"message": "wrong or no key"}})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.stream(asked, body)
        except (BrokenPipeError, ConnectionResetError):
            self.server.gone += 1
        self.close_connection = True

    def stream(self, asked, body):
        self.wfile.write(b": keepalive\n\n")
        if asked == "endless":
            for i in range(100000):
                self.wfile.write(
                    b"data: " + json.dumps(delta(content=f"word {i} ")).encode() + b"\n\n"
                )
                time.sleep(0.02)
        if asked == "fail late":
            self.wfile.write(b"data: " + json.dumps(delta(content="It begins")).encode() + b"\n\n")
            self.wfile.write(
                b'data: {"error": {"message": "the device was lost", "code": null}}\n\n'
            )
            return
        if asked == "cut":
            self.wfile.write(b"data: " + json.dumps(delta(content="It begins")).encode() + b"\n\n")
            return
        text = "".join(
            f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n" for chunk in script(body)
        )
        data = text.encode() + b"data: [DONE]\n\n"
        # In slices that respect neither lines nor characters.
        for at in range(0, len(data), 997):
            self.wfile.write(data[at : at + 997])
            self.wfile.flush()
            time.sleep(0.002)


def histogram(name, bounds, rate, centre, seconds):
    """Observations at `rate`, spread around `centre`."""
    out, count = [f"# TYPE {name} histogram"], rate * seconds
    for bound in bounds:
        share = 1 / (1 + math.exp(-3 * math.log(bound / centre)))
        out.append(f'{name}_bucket{{le="{bound}",model_name="s"}} {count * share:.0f}')
    out += [
        f'{name}_bucket{{le="+Inf",model_name="s"}} {count:.0f}',
        f"{name}_sum {count * centre}",
        f"{name}_count {count:.0f}",
    ]
    return out


def metrics(t):
    wave = 0.5 + 0.5 * math.sin(t / 20)
    done = 640 * t - 20 * 300 * math.cos(t / 20)
    lines = [
        "# HELP vllm:num_requests_running Requests that run.",
        "# TYPE vllm:num_requests_running gauge",
        f'vllm:num_requests_running{{engine="0"}} {round(4 + 20 * wave)}',
        "# TYPE vllm:num_requests_waiting gauge",
        f'vllm:num_requests_waiting{{engine="0"}} {max(0, round(14 * wave - 8))}',
        "# TYPE vllm:kv_cache_usage_perc gauge",
        f"vllm:kv_cache_usage_perc {0.2 + 0.5 * wave}",
        "# TYPE vllm:generation_tokens_total counter",
        f"vllm:generation_tokens_total {done + 6000:.0f}",
        "# TYPE vllm:prompt_tokens_total counter",
        f"vllm:prompt_tokens_total {900 * t:.0f}",
        "# TYPE vllm:prefix_cache_queries_total counter",
        f"vllm:prefix_cache_queries_total {900 * t:.0f}",
        "# TYPE vllm:prefix_cache_hits_total counter",
        f"vllm:prefix_cache_hits_total {560 * t:.0f}",
    ]
    lines += histogram(
        "vllm:time_to_first_token_seconds",
        [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
        6,
        0.14,
        t,
    )
    lines += histogram(
        "vllm:inter_token_latency_seconds",
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25],
        600,
        0.021,
        t,
    )
    lines += histogram("vllm:e2e_request_latency_seconds", [0.5, 1, 2.5, 5, 10, 20, 40], 6, 4, t)
    return "\n".join(lines) + "\n"


class FakeServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.bodies, self.gone, self.loading = [], 0, 0
        self.models, self.has_metrics = ["org/Sample-8B-4bit"], True
        self.began = time.time() - 1000
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    # Readers that go away in the middle are part of the tests.
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
