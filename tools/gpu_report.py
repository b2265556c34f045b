#!/usr/bin/env python3
"""tools/gpu_report.py STATE OUT: report.json and report.md from what scripts/gpu-check.sh collected."""
import json
import pathlib
import sys

BAD = ("failed", "timeout")
KINDS = ("facts", "tests", "sanitizer", "bench", "torch")


def read(path):
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def read_json(path):
    try:
        return json.loads(read(path))
    except ValueError:
        return None


def collect(state):
    """{part: [unit]}, each unit with what its command wrote."""
    parts = {}
    for path in sorted(state.glob("*/*.json")):
        unit = read_json(path)
        if not isinstance(unit, dict) or "status" not in unit:
            continue
        base = path.with_suffix("")
        where = lambda end: path.parent / (base.name + end)  # noqa: E731
        unit["gpu_before"], unit["gpu_after"] = read(where(".before.csv")), read(where(".after.csv"))
        if unit["part"].startswith(("bench-", "torch-")):
            unit["measured"] = read_json(where(".out"))
        elif unit["part"] == "facts":
            unit["output"] = read(where(".out")).splitlines()
        elif unit["part"] == "tests":
            unit["tests"] = test_counts(read_json(where(".gtest")))
        if unit["status"] in BAD:
            unit["log"] = (read(where(".out"))[-4000:] + read(where(".log"))[-4000:]).strip()
        parts.setdefault(unit["part"], []).append(unit)
    return dict(sorted(parts.items(), key=lambda item: place(item[0])))


def place(part):
    """In the order in which gpu-check.sh runs them."""
    kind = part.split("-")[0]
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), part)


def test_counts(gtest):
    """How many tests ran, and which failed with what."""
    if not gtest:
        return None
    failures = [{"test": f"{suite['name']}.{test['name']}", "message": test["failures"][0]["failure"][:500]}
                for suite in gtest.get("testsuites", []) for test in suite["testsuite"] if "failures" in test]
    return {"run": gtest["tests"], "failed": gtest["failures"], "failures": failures}


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def number(value, digits=1):
    return f"{value:.{digits}f}" if value else ""


def overview(parts):
    rows = []
    for part, units in parts.items():
        count = lambda *status: sum(unit["status"] in status for unit in units)  # noqa: E731
        rows.append([part, count("ok"), count(*BAD) or "", count("skipped") or "",
                     sum(unit["seconds"] for unit in units),
                     "; ".join(sorted({unit["reason"] for unit in units if unit["status"] == "skipped"}))])
    return table(["part", "ok", "failed", "skipped", "seconds", "why skipped"], rows)


def machine(parts):
    lines = []
    for unit in parts.get("facts", []):
        if unit["unit"] == "system":
            lines += [f"- {line}" for line in unit["output"]]
        elif unit["status"] in BAD:
            lines.append(f"- device: **not usable**: {unit['reason']}")
    return lines


def torch_of(parts, part):
    """Results of the same shape in PyTorch, by name of test."""
    for unit in parts.get(part.replace("bench-", "torch-").replace("-bf16", ""), []):
        if unit["status"] == "ok" and unit["measured"]:
            return {result["test"].split(" ")[0].rstrip("0123456789") + str(result["streams"]) + size_of(result): result
                    for result in unit["measured"]["results"]}, unit["measured"]
    return {}, None


def size_of(result):
    """Prefill is compared by its length; decode steps are alike whatever their number."""
    return result["test"] if result["test"].startswith("pp") else ""


def bench_rows(measured, reference):
    for r in measured["results"]:
        key = r["test"].split(" ")[0].rstrip("0123456789") + str(r["streams"]) + size_of(r)
        other = reference.get(key) if "@" not in r["test"] else None
        yield [r["test"], number(r["tokens_per_second"]), number(r["bytes_per_second"] / 1e9),
               number(100 * r["bandwidth_share"], 0), number(r["operations_per_second"] / 1e12, 2),
               number(100 * r["operations_share"], 1), number(1e3 * r["step_seconds"], 3),
               number(1e3 * r["queued_step_seconds"], 3),
               f"{1e3 * r['gap_seconds']:.3f}" if r["step_seconds"] else "",
               number(other["tokens_per_second"]) if other else "",
               number(r["tokens_per_second"] / other["tokens_per_second"], 2) if other else ""]


def benchmarks(parts):
    lines = []
    for part, units in parts.items():
        good = [unit for unit in units if unit["status"] == "ok" and unit.get("measured")]
        if not part.startswith("bench-") or not good:
            continue
        reference, torch = torch_of(parts, part)
        for unit in good:
            m = unit["measured"]
            read_limit, product = m["limits"]["read"], m["limits"]["product"]
            lines += [
                "", f"### {part}, {unit['unit']}: {m['model']} {m['weights']}", "",
                f"{m['device']['kind']}: {m['device']['name']}. Measured limits: "
                f"{read_limit['median_bytes_per_second'] / 1e9:.1f} GB/s read, "
                f"{product['operations_per_second'] / 1e12:.2f} TFLOP/s in a bf16 product of {product['size']}^3. "
                f"{m['weight_bytes'] / 1e9:.2f} GB of weights, of which a step of one sequence reads "
                f"{m['step_weight_bytes'] / 1e9:.2f} GB. Loaded in {m['load']['seconds']:.2f} s, "
                f"{m['load']['source_seconds']:.2f} s of it to make the weights.", ""]
            for when in ("before", "after"):
                if state := unit["gpu_" + when].splitlines():
                    lines += [f"GPU {when}: {state[-1]}", ""]
            lines += table(["test", "tokens/s", "GB/s", "% of read", "TFLOP/s", "% of product", "step ms",
                            "queued step ms", "gap ms", "PyTorch bf16 tokens/s", "ratio"], bench_rows(m, reference))
        if torch:
            lines += ["", f"PyTorch column: {torch['engine']}, {torch['attention']} attention, {torch['device']}, "
                      f"{torch['weights']} weights, loaded in {torch['load_seconds']:.1f} s."]
    return lines


def failures(parts):
    lines = []
    for units in parts.values():
        for unit in units:
            if unit["status"] not in BAD:
                continue
            lines += ["", f"### {unit['part']}/{unit['unit']}: {unit['status']}, exit {unit['exit']}", "",
                      unit["reason"], "", "```", unit["command"], *unit["log"].splitlines()[-40:], "```"]
    return lines


def markdown(parts):
    bad = sum(unit["status"] in BAD for units in parts.values() for unit in units)
    tests = [unit["tests"] for unit in parts.get("tests", []) if unit.get("tests")]
    lines = ["# Mica on this machine's device", "",
             f"{bad} failed." if bad else "Nothing failed.", "",
             *overview(parts), ""]
    if tests:
        lines += [f"Tests on the device: {sum(t['run'] for t in tests)} run, {sum(t['failed'] for t in tests)} failed.",
                  ""]
    lines += ["## Machine", "", *machine(parts)]
    if speed := benchmarks(parts):
        lines += ["", "## Speed", "",
                  "`pp`: prefill; `tg`: decode through the model alone; `engine`: decode through scheduler and "
                  "sampler. GB/s are weights and cache read. Queued: steps that nothing waits for between; gap: "
                  "the step's time beyond that, and for `engine` from the end of one step's work to the next.",
                  *speed]
    if bad:
        lines += ["", "## Failures", *failures(parts)]
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    state, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    parts = collect(state)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps({"parts": parts}, indent=1) + "\n")
    (out / "report.md").write_text(markdown(parts))
    print(f"{out / 'report.md'}: {sum(len(units) for units in parts.values())} results")


if __name__ == "__main__":
    main()
