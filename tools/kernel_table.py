#!/usr/bin/env python3
"""A Markdown table from logs of `nvcc -Xptxas -v`.

Exits 1 where a kernel spills or has a stack frame.
"""
import pathlib
import re
import subprocess
import sys

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def kernel_name(symbol):
    name = subprocess.run(["c++filt", symbol], capture_output=True, text=True, check=True).stdout
    name = name.strip().replace("(anonymous namespace)::", "").replace("mica::cuda::", "")
    name = re.sub(r"_GLOBAL__N__\w+::", "", name)
    return re.sub(r"\(.*", "", name).removeprefix("void ")


def rows(path):
    symbol = None
    for line in path.read_text().splitlines():
        if match := ENTRY.search(line):
            symbol, arch = match.groups()
        elif match := FRAME.search(line):
            frame = [int(n) for n in match.groups()]
        elif (match := USED.search(line)) and symbol:
            shared = SHARED.search(line)
            yield (kernel_name(symbol), arch, int(match[1]), int(shared[1]) if shared else 0,
                   frame[0], frame[1] + frame[2])
            symbol = None


def main():
    table = sorted({row for path in sys.argv[1:] for row in rows(pathlib.Path(path))})
    print("| kernel | GPU | registers | static shared | stack | spills |")
    print("|---|---|---|---|---|---|")
    for name, *numbers in table:
        print("| `" + name + "` | " + " | ".join(str(n) for n in numbers) + " |")
    if not table:
        sys.exit("no kernel in the logs")
    return 1 if any(row[4] or row[5] for row in table) else 0


if __name__ == "__main__":
    sys.exit(main())
