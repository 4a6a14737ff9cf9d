"""What `soak.py` found, to be read."""

from __future__ import annotations

from typing import Any


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    rows = [
        ("seconds", result["seconds"]),
        ("frames given by the cameras", result["given"]),
        ("judged + dropped + failed", f"{result['judged']} + {result['dropped']} + {result['failed']}"),
        ("not accounted for", result["given"] - result["accounted"]),
        ("injected", ", ".join(f"{n} {name}" for name, n in result["injected"].items())),
        ("not injected", "; ".join(result["not_injected"]) or "none"),
        ("engine opened afresh after an error", result["engine_restarts"]),
        ("late (200 ms)", result["late"]),
        ("events left out since a sink was behind", _told(result["sinks"], "left_out")),
        ("events a sink raised at", _told(result["sinks"], "failed")),
        ("messages for the broker", ", ".join(f"{name} {n}" for name, n in result["mqtt"].items()) or "none"),
        ("torn lines in the record", result["torn_lines"]),
        ("threads that died", ", ".join(result["dead_threads"]) or "none"),
        *(_grown(name, row) for name, row in result["growth"].items()),
        ("inference p50", f"{result['inference_ms']['p50']:.2f} ms"),
        ("beside inference p50 (prepare, judge)", f"{result['loop_ms']['p50']:.2f} ms"),
    ]
    device = result["device"]
    name = device.get("cpu", device) if isinstance(device, dict) else device
    lines = ["# Soak", "", f"On {name}.", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def _told(sinks: dict[str, dict[str, int]], key: str) -> str:
    return ", ".join(f"{name} {row[key]}" for name, row in sinks.items() if row[key]) or "none"


def _grown(name: str, row: dict[str, Any]) -> tuple[str, str]:
    what, _, unit = name.partition("_")
    unit = " MB" if unit else ""
    slope = f"{row['slope_an_hour']:.2f} ± {row['standard_error']:.2f}{unit} an hour over the second half"
    before, after = row["most_of_halves"]
    most = f"most {before:.0f}{unit} in the first half, {after:.0f}{unit} in the second"
    return what, f"first {row['first']:.0f}{unit}, last {row['last']:.0f}{unit}; {most}; {slope}"
