"""The report as one HTML file that needs nothing beside it: plots and pictures lie inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from aand_edge.bench.accuracy import Example
from aand_edge.bench.device import device_line
from aand_edge.bench.gallery import tiles_of
from aand_edge.bench.plots import latency_plot, score_plot
from aand_edge.bench.report import BenchReport, EngineRow

GROUPS = {
    "missed": ("Missed defects", "Passed although they have a defect, the lowest scores first.", "missed", "bad"),
    "found": ("Defects found", "The clearest finds.", "rejected, rightly", "fine"),
    "false reject": ("Good parts rejected by mistake", "The highest scores first.", "rejected by mistake", "bad"),
    "passed": ("Good parts passed", "Those that came closest to being rejected.", "passed, rightly", "fine"),
}


def to_html(report: BenchReport) -> str:
    """The whole page. Raises MissingDependencyError without matplotlib."""
    template = Template(files("aand_edge.bench").joinpath("template.html").read_text(encoding="utf-8"))
    chosen = report.row(report.recommended.engine) if report.recommended else None
    return template.substitute(
        category=escape(report.category),
        created=escape(report.created.replace("T", " ").replace("+00:00", " UTC")),
        verdict=_verdict(report, chosen),
        remarks=_list(report.remarks(), "remarks"),
        speed=_table(report.tables()["Speed and memory"], chosen),
        latency=latency_plot(report.rows, report.budget_ms),
        accuracy=_accuracy(report, chosen),
        gallery=_gallery(chosen) if chosen else "",
        machine=escape(device_line(report.device)),
        protocol="".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in report.protocol.items()),
    )


def _verdict(report: BenchReport, chosen: EngineRow | None) -> str:
    if chosen is None or report.recommended is None:
        return f'<section class="verdict"><h2>No engine to use</h2><p>{escape(report.verdict())}</p></section>'
    kept = chosen.keeps(report.budget_ms)
    tiles = "".join(
        f'<div class="tile{" warn" if warn else ""}"><b>{value}</b><span>{escape(label)}</span></div>'
        for value, label, warn in _key_figures(report, chosen)
    )
    reason = escape(report.recommended.reason)
    doubt = f"<p>{escape(report.doubt())}</p>" if report.doubt() else ""
    return (
        f'<section class="verdict{"" if kept else " over"}"><p class="kicker">The engine to use</p>'
        f"<h2>{escape(chosen.name)}</h2><p>{reason[0].upper()}{reason[1:]}.</p>{doubt}"
        f'<div class="tiles">{tiles}</div></section>'
    )


def _key_figures(report: BenchReport, row: EngineRow) -> list[tuple[str, str, bool]]:
    """(value, meaning, whether it is a warning), as large figures."""
    kept = row.keeps(report.budget_ms)
    budget = (
        "" if report.budget_ms is None else f", {'within' if kept else 'over'} the budget of {report.budget_ms:g} ms"
    )
    figures = [
        (
            f"{_short(row.latency.p50)} ms",
            "half of all answers take no longer (P50)",
            False,
        ),
        (f"{_short(row.latency.p99)} ms", f"99 of 100 answers take no longer{budget}", not kept),
    ]
    goods, anomalous, accuracy = report.pictures.good, report.pictures.anomalous, row.accuracy
    if accuracy.missed is not None:
        figures.append((f"{anomalous - accuracy.missed} of {anomalous}", "defects found", False))
    if accuracy.false_rejects is not None:
        figures.append((f"{accuracy.false_rejects} of {goods}", "good parts rejected by mistake", False))
    if row.memory.mebibytes is not None:
        figures.append((f"{row.memory.mebibytes:.0f} MiB", "memory needed", False))
    return figures


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _list(items: Sequence[str], name: str) -> str:
    lines = "".join(f"<li>{escape(text)}</li>" for text in items)
    return f'<ul class="{name}">{lines}</ul>' if items else ""


def _table(lines: Sequence[Sequence[str]], chosen: EngineRow | None) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in lines[0])
    body = "".join(
        f"<tr{' class=best' if chosen and cells[0] == chosen.name else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for cells in lines[1:]
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _accuracy(report: BenchReport, chosen: EngineRow | None) -> str:
    lines = report.tables().get("Accuracy")
    if lines is None:
        return ""
    figures = "".join(f"<figure>{score_plot(row)}</figure>" for row in report.rows)
    counts = f"{report.pictures.good} good test pictures and {report.pictures.anomalous} with a defect"
    return (
        f"<section><h2>Accuracy</h2><p>On {counts}, each engine at its own threshold.</p>{_table(lines, chosen)}"
        "<h3>Scores</h3><p>Each picture gets one score. Whatever lies right of the dashed line is rejected; "
        f"the further the two colours are apart, the surer the verdicts.</p>{figures}</section>"
    )


def _gallery(row: EngineRow) -> str:
    parts = []
    for group, (title, meaning, chip, colour) in GROUPS.items():
        examples = [example for example in row.accuracy.examples if example.group == group]
        cards = "".join(_card(example, row.threshold.value, chip, colour) for example in examples)
        if cards:
            parts.append(f'<h3>{title}</h3><p>{meaning}</p><div class="cards">{cards}</div>')
    return f"<section><h2>Pictures, as {escape(row.name)} judges them</h2>{''.join(parts)}</section>" if parts else ""


def _card(example: Example, threshold: float, chip: str, colour: str) -> str:
    judgement = example.judgement
    tiles = "".join(
        f'<figure><img src="{tile.uri}" alt="{tile.caption}"><figcaption>{tile.caption}</figcaption></figure>'
        for tile in tiles_of(example, threshold)
    )
    name = escape(f"{judgement.sample.kind}/{judgement.sample.path.name}")
    score = f"score <b>{judgement.score:.3g}</b>, threshold {threshold:.3g}"
    return (
        f'<article class="card"><div class="shots">{tiles}</div><footer><span class="chip {colour}">{chip}</span>'
        f"<span>{score}</span><code>{name}</code></footer></article>"
    )
