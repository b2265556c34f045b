#!/usr/bin/env python3
"""The gates of compiled kernels, and a Markdown table of them.

kernel_table.py OBJECT… SOURCE….cu: reads OBJECT.report, which cmake/nvcc_report.sh wrote of
`nvcc -Xptxas -v`, and the launch bounds in the sources. Exits 1 and names the kernels where
 - a kernel spills, has a stack frame, or more static shared memory than a block can have anywhere;
 - a block of the declared threads needs more registers than a multiprocessor has;
 - a kernel declares no MICA_LAUNCH_BOUNDS: only with them does ptxas keep to that limit.
Dynamic shared memory is checked at each launch: by the emulator in tests (99 KB), on a GPU by the
launch itself. kernel_table.py --shared FILE prints a table of what $MICA_SIMT_SHARED collected
(src/ops/simt/shared_use.h).
"""
import pathlib
import re
import subprocess
import sys

SHARED_LIMIT = 99 * 1024  # bytes of a block on 8.6, 8.9 and 12.0 (CUDA C++ Programming Guide)
REGISTERS = 65536         # of a multiprocessor, 8.0 to 12.0
REGISTER_CAP = 255        # of a thread

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
KERNEL = re.compile(r"\bMICA_KERNEL\s+(?:MICA_LAUNCH_BOUNDS\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s+)?"
                    r"void\s+(\w+)")
CONSTANT = re.compile(r"constexpr\s+\w+\s+(k\w+)\s*=\s*([^;{}]+);")


def entries(path):
    """(symbol, GPU, registers, static shared bytes, stack bytes, spilled bytes) of one report."""
    symbol, frame = None, (0, 0, 0)
    for line in path.read_text().splitlines():
        if match := ENTRY.search(line):
            symbol, gpu = match.groups()
        elif match := FRAME.search(line):
            frame = [int(n) for n in match.groups()]
        elif (match := USED.search(line)) and symbol:
            shared = SHARED.search(line)
            yield (symbol, gpu, int(match[1]), int(shared[1]) if shared else 0, frame[0],
                   frame[1] + frame[2])
            symbol = None


def readable(symbols):
    """Symbol -> name with template arguments, without namespaces of ours and parameters."""
    text = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True,
                          check=True).stdout
    names = {}
    for symbol, name in zip(symbols, text.splitlines()):
        name = name.replace("(anonymous namespace)::", "").replace("mica::cuda::", "")
        name = re.sub(r"\b_GLOBAL__N__\w+::", "", name).replace("mica::gpu::", "")
        depth = 0
        for i, character in enumerate(name):  # the parameters begin outside of template arguments
            depth += (character == "<") - (character == ">")
            if character == "(" and depth == 0:
                name = name[:i]
                break
        names[symbol] = name.removeprefix("void ")
    return names


def value_of(expression, constants):
    """The integer, or None where it hangs on a template parameter or another file."""
    for _ in range(8):
        expression = re.sub(r"\bk\w+\b", lambda m: f"({constants.get(m[0], m[0])})", expression)
    if not re.fullmatch(r"[\d\s()*+/-]+", expression):
        return None
    return int(eval(expression.replace("/", "//")))  # digits and operators only


def launch_bounds(sources):
    """Kernel -> threads of a block at most (None: not known here); and those that declare none."""
    bounds, undeclared = {}, []
    for path in sources:
        text = re.sub(r"//.*", "", path.read_text())
        constants = dict(CONSTANT.findall(text))
        for expression, name in KERNEL.findall(text):
            if expression:
                bounds[name] = value_of(expression, constants)
            else:
                undeclared.append(f"{path.name}: {name} declares no MICA_LAUNCH_BOUNDS")
    return bounds, undeclared


def threads_that_fit(registers):
    """Registers go to warps in units of 256, warps to blocks in fours."""
    warps = REGISTERS // (-(-registers * 32 // 256) * 256)
    return min(1024, warps // 4 * 4 * 32)


def faults(kernel, threads):
    """What is wrong with one compiled kernel; `threads` is its launch bound or None."""
    symbol, gpu, registers, shared, stack, spills = kernel
    fit = threads_that_fit(registers)
    if registers > REGISTER_CAP:
        yield f"{registers} registers"
    if threads is not None and threads > fit:
        yield f"{registers} registers in {threads} threads, {fit} fit"
    if shared > SHARED_LIMIT:
        yield f"{shared} bytes of static shared memory"
    if stack:
        yield f"a stack frame of {stack} bytes (a local array)"
    if spills:
        yield f"{spills} bytes spilled"


def print_table(found, names, bounds):
    gpus = sorted({kernel[1] for kernel in found}, key=lambda gpu: int(re.sub(r"\D", "", gpu)))
    print("| kernel | block | fits | shared | " + " | ".join(gpus) + " |")
    print("|---" * (4 + len(gpus)) + "|")
    rows = {}
    for symbol, gpu, registers, shared, *_ in found:
        row = rows.setdefault(names[symbol], {"registers": {}, "shared": 0})
        row["registers"][gpu] = max(registers, row["registers"].get(gpu, 0))
        row["shared"] = max(shared, row["shared"])
    for name, row in sorted(rows.items()):
        bound = bounds.get(base(name))
        cells = ["?" if bound is None else bound,
                 threads_that_fit(max(row["registers"].values())), row["shared"]]
        cells += [row["registers"].get(gpu, "") for gpu in gpus]
        print(f"| `{name}` | " + " | ".join(str(cell) for cell in cells) + " |")


def print_shared(path):
    most = {}
    for line in path.read_text().splitlines():
        name, size = line.rsplit(" ", 1)
        most[name] = max(int(size), most.get(name, 0))
    print("| launch | bytes |")
    print("|---|---|")
    for name, size in sorted(most.items()):
        if size:
            print(f"| `{name}` | {size} |")


def base(name):
    return re.sub(r"<.*", "", name)


def main():
    if sys.argv[1:2] == ["--shared"]:
        print_shared(pathlib.Path(sys.argv[2]))
        return 0
    paths = [pathlib.Path(path) for path in sys.argv[1:]]
    reports = [pathlib.Path(f"{path}.report") for path in paths if path.name.endswith(".cu.o")]
    for path in reports:
        if not path.exists():
            sys.exit(f"{path} is missing: delete its object and build again")
    bounds, problems = launch_bounds([path for path in paths if path.suffix == ".cu"])
    found = [kernel for path in reports for kernel in entries(path)]
    if not found:
        sys.exit("no kernel in the reports")
    names = readable(sorted({kernel[0] for kernel in found}))
    print_table(found, names, bounds)
    for kernel in found:
        name = names[kernel[0]]
        problems += [f"{name} for {kernel[1]}: {fault}"
                     for fault in faults(kernel, bounds.get(base(name)))]
    for problem in problems:
        print(f"compile gates: {problem}", file=sys.stderr)
    print(f"compile gates: {len(found)} kernels, {len(problems)} problems", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
