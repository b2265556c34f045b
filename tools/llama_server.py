#!/usr/bin/env python3
"""llama.cpp's server from the xllamacpp wheel, with the flags of `llama-server` that a launch plan
uses: for machines where llama.cpp is not built. Runs until SIGINT or SIGTERM."""
import argparse
import signal
import threading

import xllamacpp


def parse():
    parser = argparse.ArgumentParser(prog="llama-server")
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-a", "--alias", default="")
    parser.add_argument("-ngl", "--n-gpu-layers", type=int, default=0)
    parser.add_argument("-c", "--ctx-size", type=int, default=4096)
    parser.add_argument("-np", "--parallel", type=int, default=1)
    parser.add_argument("-t", "--threads", type=int, default=-1)
    parser.add_argument("-fa", "--flash-attn", choices=["on", "off", "auto"], default="auto")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--jinja", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def main():
    flags = parse()
    params = xllamacpp.CommonParams()
    params.model.path = flags.model
    params.hostnames = [flags.host]
    params.port = flags.port
    if flags.alias:
        params.model_alias = {flags.alias}
    params.n_gpu_layers = flags.n_gpu_layers
    params.n_ctx = flags.ctx_size
    params.n_parallel = flags.parallel
    if flags.threads > 0:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = flags.threads
    params.flash_attn_type = {"auto": -1, "off": 0, "on": 1}[flags.flash_attn]
    params.endpoint_metrics = flags.metrics
    params.use_jinja = flags.jinja
    params.ui = False
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    server = xllamacpp.Server(params)
    print(f"llama-server: {server.listening_address}", flush=True)
    end.wait()
    del server


if __name__ == "__main__":
    main()
