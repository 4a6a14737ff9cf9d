"""The dashboard and the alerts ask for figures, labels and values that a station tells, and for no others."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aand_edge.runtime.events import Compared, Dropped, Event, Failed, Noticed, Pulsed, SourceChanged, SourceState
from aand_edge.runtime.sinks.metrics import MetricsSink
from tests.conftest import REPOSITORY
from tests.runtime_events import START, inspected

DEPLOY = REPOSITORY / "deploy"
EVENTS: tuple[Event, ...] = (
    inspected(0, camera="top"),
    Failed("top", 1, "torn", START),
    Dropped("top", 2, 1, "newest", START),
    SourceChanged("top", SourceState.LIVE, "", START),
    Pulsed("top", 0, 0.4, True, False, True, START),
    Pulsed("top", 0, 0.4, False, False, False, START),
    Compared("top", "score", 100, 0.7, 5.0, True, START),
    *(Noticed(level, "", START) for level in ("info", "warning")),  # type: ignore[arg-type]
)
ENGINE = SimpleNamespace(
    manifest=SimpleNamespace(
        name="part.openvino.fp16", model="part", backend="openvino", precision="fp16", graph_sha256="ab" * 32
    ),
    restarts=2,
)
METRIC = re.compile(r"\b(?:aand_\w+|up)\b")
SELECTOR = re.compile(r"\b(aand_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
STRING = re.compile(r'"[^"]*"')


@dataclass
class Told:
    """A figure's labels, and the values that each of them had."""

    labels: dict[str, set[str]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """What a station on line1 exposes, sensors included, by the sample's name."""
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")
    found: dict[str, Told] = {"up": Told({"job": {"aand-edge"}, "instance": set()})}
    for family in parser.text_string_to_metric_families(exposed(sensors(tmp_path_factory.mktemp("root")))):
        for sample in family.samples:
            labels = found.setdefault(sample.name, Told({})).labels
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def sensors(root: Path) -> Path:
    zone, monitor = root / "sys/class/thermal/thermal_zone0", root / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    for path, text in (
        (zone / "temp", "48500"),
        (monitor / "in1_label", "VDD_IN"),
        (monitor / "in1_input", "5000"),
        (monitor / "curr1_input", "1200"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def exposed(root: Path, engine: Any = ENGINE) -> str:
    with MetricsSink(port=0, root=root, line="line1", engine=engine) as sink:
        for event in EVENTS:
            sink.append(event)
        sink.sink_failed("mqtt")
        with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[str]:
    """Of panels, annotations and alerts."""
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (each["expr"] for each in dashboard()["annotations"]["list"])
    rules = (DEPLOY / "prometheus-rules.yml").read_text(encoding="utf-8")
    yield from re.findall(r"expr: (.+)", rules)


def test_every_sample_carries_its_line(told: dict[str, Told]) -> None:
    own = {name: each for name, each in told.items() if name != "up"}
    assert len(own) > 30
    assert all(each.labels["line"] == {"line1"} for each in own.values())
    assert own["aand_engine_info"].labels["engine"] == {"part.openvino.fp16"}
    assert own["aand_frames_total"].labels["camera"] == {"top"}


@pytest.mark.parametrize("query", [*queries()])
def test_a_query_asks_for_what_a_station_tells(told: dict[str, Told], query: str) -> None:
    names = set(METRIC.findall(STRING.sub('""', query)))
    assert names
    assert names <= set(told)
    for name, matchers in SELECTOR.findall(query):
        for label, operator, wanted in MATCHER.findall(matchers):
            assert label in told[name].labels, f"{name} has no {label}"
            values = [] if wanted.startswith("$") else wanted.split("|") if "~" in operator else [wanted]
            assert set(values) <= told[name].labels[label], f"{name} has no {label}={wanted}"
    for group in GROUPED.findall(query):
        for label in (each.strip() for each in group.split(",")):
            assert all(label in told[name].labels for name in names), f"{label} in {query}"


def test_legends_name_labels_that_their_query_keeps(told: dict[str, Told]) -> None:
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            groups = re.findall(r"\bby\s*\(([^)]*)\)", target["expr"])
            metric = METRIC.findall(target["expr"])[0]
            kept = {each.strip() for each in groups[0].split(",")} if groups else set(told[metric].labels)
            assert named <= kept, panel["title"]


def test_the_variables_are_asked_of_figures_that_have_them(told: dict[str, Told]) -> None:
    asked = {each["name"]: each.get("definition", "") for each in dashboard()["templating"]["list"]}
    assert set(asked) == {"datasource", "line", "camera"}
    for name in ("line", "camera"):
        (metric,) = METRIC.findall(asked[name])
        assert asked[name].endswith(f", {name})")
        assert name in told[metric].labels


def test_the_panels_are_explained_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert all(panel["description"].endswith(".") for panel in panels())
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_counts_begin_at_nothing(tmp_path: Path) -> None:
    """Of a counter that first appears at 1, Prometheus sees no increase."""
    text = exposed(tmp_path)
    assert 'aand_gate_pulses_total{camera="top",line="line1",result="merged"} 0.0' in text
    assert 'aand_frames_dropped_total{camera="top",line="line1",reason="trigger"} 0.0' in text
    assert 'aand_engine_restarts_total{line="line1"} 2.0' in text


def test_another_engine_is_told_as_soon_as_it_judges(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    engine = SimpleNamespace(manifest=ENGINE.manifest, restarts=0)
    with MetricsSink(port=0, root=tmp_path, engine=engine) as sink:
        engine.manifest = SimpleNamespace(**{**vars(ENGINE.manifest), "name": "part.triton.fp16", "backend": "triton"})
        with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    assert 'backend="triton",engine="part.triton.fp16"' in text
    assert "part.openvino.fp16" not in text


def test_the_scrape_configuration_reads_the_alerts_beside_it() -> None:
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    assert "job_name: aand-edge" in text
    (rules,) = re.findall(r"rule_files:\s*\n\s*- (\S+)", text)
    assert (DEPLOY / rules).is_file()
