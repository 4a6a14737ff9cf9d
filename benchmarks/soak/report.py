"""What a soak found, to be read."""

from __future__ import annotations

from typing import Any

from aand_edge.bench.device import device_line

# An hour, of what is held: less cannot be told in an hour from caches that fill and malloc's free pages. The faults
# come by hundreds an hour, so a descriptor or a picture that is lost with each of one kind is far above.
FLOORS = {"memory_mb": 16.0, "anonymous_mb": 16.0, "allocated_mb": 8.0, "descriptors": 4.0, "threads": 4.0}
SETTLED_S = 1200.0  # what a shorter soak holds still grows in its second half: pictures kept, caches, the heap


def faults(result: dict[str, Any]) -> list[str]:
    """What a soak must not end with, a sentence each.

    Something has grown where its slope over the second half is above its floor (`FLOORS`) and above twice its standard
    error; a soak under `SETTLED_S` is not asked.
    """
    lost = result["given"] - result["accounted"]
    found = [f"{lost} frames are not accounted for"] if lost else []
    fates = dict(result["mqtt"])
    astray = fates.pop("given", 0) - sum(fates.values())
    found += [f"{astray} messages for the broker are not accounted for"] if astray else []
    found += [f"{result['torn_lines']} lines of the record are torn"] if result["torn_lines"] else []
    found += [f"A thread died: {each}" for each in result["dead_threads"]]
    return found + (_growths(result["growth"]) if result["seconds"] >= SETTLED_S else [])


def _growths(growth: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    for name, row in growth.items():
        slope, error = row["slope_an_hour"], row["standard_error"]
        if slope > max(FLOORS[name], 2 * error):
            found.append(f"{name} grew by {slope:.2f} ± {error:.2f} an hour; up to {FLOORS[name]:g} is none")
    return found


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
    lines = ["# Soak", "", f"On {device_line(result['device'])}.", "", "| | |", "|---|---|"]
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
