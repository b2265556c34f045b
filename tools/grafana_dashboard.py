#!/usr/bin/env python3
"""Writes deploy/grafana-dashboard.json: panels over the metrics of `mica serve` (docs/operations.md).

  tools/grafana_dashboard.py            writes the file
  tools/grafana_dashboard.py --check F  every metric of the dashboard is on the page F of a server
"""
import json
import pathlib
import re
import sys

OUT = pathlib.Path(__file__).resolve().parent.parent / "deploy" / "grafana-dashboard.json"
SELECT = '{instance=~"$instance"}'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def rate(metric, by="instance"):
    return f"sum by ({by}) (rate({metric}{SELECT}[$__rate_interval]))"


def quantiles(metric):
    return [(f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{SELECT}[$__rate_interval])))",
             f"p{int(q * 100)}") for q in (0.5, 0.9, 0.99)]


def gauge(metric):
    return (f"{metric}{SELECT}", "{{instance}}")


# Rows of (title, unit, [(expression, legend)…]).
ROWS = [
    ("Load", [
        ("Answers running and waiting", "short",
         [(f"sum(vllm:num_requests_running{SELECT})", "running"),
          (f"sum(vllm:num_requests_waiting{SELECT})", "waiting")]),
        ("Tokens per second", "short",
         [(rate("vllm:generation_tokens_total"), "generated {{instance}}"),
          (rate("vllm:prompt_tokens_total"), "prompts {{instance}}")]),
        ("Requests by status", "reqps",
         [(rate("mica:http_requests_total", "route, status"), "{{route}} {{status}}")]),
        ("Turned away", "reqps", [(rate("mica:http_rejected_total", "reason"), "{{reason}}")]),
    ]),
    ("Latency", [
        ("First token", "s", quantiles("vllm:time_to_first_token_seconds")),
        ("Between tokens", "s", quantiles("vllm:inter_token_latency_seconds")),
        ("Whole answer", "s", quantiles("vllm:e2e_request_latency_seconds")),
        ("In the queue", "s", quantiles("vllm:request_queue_time_seconds")),
        ("Prefill", "s", quantiles("vllm:request_prefill_time_seconds")),
        ("Ends of answers", "reqps",
         [(rate("vllm:request_success_total", "finished_reason"), "{{finished_reason}}")]),
    ]),
    ("Engine", [
        ("Share of the memory's bandwidth in decode", "percentunit",
         [gauge("mica:decode_bandwidth_share")]),
        ("Decode step", "s", [gauge("mica:decode_step_seconds")]),
        ("Time in steps", "percentunit", [(rate("mica:engine_busy_seconds_total"), "{{instance}}")]),
        ("Since the last step", "s", [gauge("mica:engine_heartbeat_age_seconds")]),
        ("Stuck or failed", "short",
         [(f"mica:engine_stuck{SELECT}", "stuck {{instance}}"),
          (f"1 - mica:engine_healthy{SELECT}", "failed {{instance}}")]),
    ]),
    ("Memory", [
        ("Cache in use", "percentunit", [gauge("vllm:kv_cache_usage_perc")]),
        ("Prompt tokens found in the prefix cache", "percentunit",
         [(f"{rate('vllm:prefix_cache_hits_total')} / {rate('vllm:prefix_cache_queries_total')}",
           "{{instance}}")]),
        ("Resident memory of the process", "bytes", [gauge("process_resident_memory_bytes")]),
        ("Open connections", "short", [gauge("mica:http_connections")]),
    ]),
]


def dashboard():
    panels, y = [], 0
    for row, charts in ROWS:
        panels.append({"type": "row", "title": row, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        y += 1
        for i, (title, unit, targets) in enumerate(charts):
            panels.append({
                "type": "timeseries", "title": title, "datasource": SOURCE,
                "gridPos": {"h": 8, "w": 8, "x": i % 3 * 8, "y": y + i // 3 * 8},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [{"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expression,
                             "legendFormat": legend}
                            for n, (expression, legend) in enumerate(targets)]})
        y += (len(charts) + 2) // 3 * 8
    for number, panel in enumerate(panels):
        panel["id"] = number + 1
    return {
        "title": "Mica", "uid": "mica-serve", "tags": ["mica"], "schemaVersion": 38, "version": 1,
        "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "panels": panels,
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            {"name": "instance", "type": "query", "datasource": SOURCE, "multi": True,
             "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
             "query": "label_values(mica:build_info, instance)", "refresh": 2}]}}


def missing(page):
    """Metrics of the dashboard and of the alerts that a server's page does not have."""
    names = set(re.findall(r"^# TYPE (\S+)", page, re.M))
    for name in list(names):
        names.update({name + "_bucket", name + "_sum", name + "_count"})
    text = OUT.read_text() + (OUT.parent / "mica-alerts.yml").read_text()
    used = set(re.findall(r"\b(?:vllm:|mica:|process_)[a-z0-9_]+", text))
    return sorted(used - names)


if len(sys.argv) == 3 and sys.argv[1] == "--check":
    absent = missing(pathlib.Path(sys.argv[2]).read_text())
    print(f"dashboard: {'all metrics are there' if not absent else 'not there: ' + ', '.join(absent)}")
    sys.exit(1 if absent else 0)
OUT.write_text(json.dumps(dashboard(), indent=1) + "\n")
