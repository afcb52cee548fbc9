"""The report of a run: one HTML file that stands alone, for whoever asks how good the data is.

Holds the page's structure; the numbers come in through `ReportInputs`, tables are drawn by `report_tables`, figures by
`plots`, and style lies in `report_page`. Same inputs, same bytes: the page knows no time but the run's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from tessera.diagnostics.plots import as_data_uri
from tessera.diagnostics.sanity import SanityResult, failures
from tessera.diagnostics.targets import LEVELS, TargetSummary
from tessera.diagnostics.weights import WeightsHealth
from tessera.page.style import CSS, JS
from tessera.page.tables import Column, facts, heat_table, pill, shown, table, tile
from tessera.release.gate import GateResult
from tessera.release.identity import RunIdentity
from tessera.release.manifest import SourceEntry
from tessera.store import write_text


@dataclass(frozen=True)
class ReportFigure:
    """A figure: heading, PNG bytes, and a caption that says how to read it."""

    title: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class ReportInputs:
    """All that the report shows.

    Attributes:
        identity: of the run.
        packages: name -> installed version.
        scale: name of the scale preset.
        settings: further settings worth showing, name -> text (households, clones, seed, thresholds, ...).
        source_mode: "synthetic" or "official".
        synthetic: whether any source was synthesised; shows the banner.
        targets: summary of the target errors.
        areas: table of areas (`weights.area_metrics`).
        weights: name of a fit -> health of its weights.
        sanity: results of the checks of the area files.
        gate: outcome of the release gate; None where it has not been evaluated yet.
        figures: in the order in which they show.
        sources: source files.
        sums: sum of areas beside the nation (`targets.sum_of_areas`).
        holdout: hold-out results, one row a fold, any columns; not shown where absent.
    """

    identity: RunIdentity
    packages: Mapping[str, str]
    scale: str
    settings: Mapping[str, str]
    source_mode: str
    synthetic: bool
    targets: TargetSummary
    areas: pd.DataFrame
    weights: Mapping[str, WeightsHealth]
    sanity: tuple[SanityResult, ...]
    gate: GateResult | None
    figures: tuple[ReportFigure, ...] = ()
    sources: tuple[SourceEntry, ...] = ()
    sums: pd.DataFrame = field(default_factory=pd.DataFrame)
    holdout: pd.DataFrame = field(default_factory=pd.DataFrame)


def build_report(inputs: ReportInputs) -> str:
    """The report as the text of one HTML page, without a reference to anything outside it."""
    sections = (
        _section("gate", "Release gate", _gate(inputs)),
        _section("figures", "Figures", _figures(inputs)),
        _section("targets", "Target errors", _targets(inputs)),
        _section("worst", "The 25 targets furthest off", _worst(inputs)),
        _section("unachievable", "Unachievable targets", _unachievable(inputs)),
        _section("areas", "Areas", _areas(inputs)),
        _section("checks", "Checks of the area files", _checks(inputs)),
        _section("weights", "Weights", _weights(inputs)),
        _section("provenance", "Provenance", _provenance(inputs)),
        _section("reading", "How to read this", _READING),
    )
    mark = "SYNTHETIC DATA: " if inputs.synthetic else ""
    title = f"{mark}Tessera diagnostics, {inputs.identity.run_id}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><main>"
        f"{_header(inputs)}{_tiles(inputs)}{''.join(sections)}{_footer(inputs)}"
        f"</main><script>{JS}</script></body></html>\n"
    )


def write_report(inputs: ReportInputs, path: Path) -> Path:
    """Build the report and write it atomically; returns the path."""
    return write_text(path, build_report(inputs))


def _header(inputs: ReportInputs) -> str:
    banner = (
        '<div class="banner" role="note"><strong>SYNTHETIC DATA.</strong> At least one survey or tax file of this run '
        "was synthesised from published distributions. Administrative targets are real, the households are not: use "
        "these files to try the pipeline, never to estimate anything about the United States.</div>"
        if inputs.synthetic
        else ""
    )
    links = (
        ("gate", "Gate"), ("figures", "Figures"), ("targets", "Targets"), ("worst", "Worst 25"),
        ("unachievable", "Unachievable"), ("areas", "Areas"), ("checks", "Checks"), ("weights", "Weights"),
        ("provenance", "Provenance"), ("reading", "How to read this"),
    )  # fmt: skip
    anchors = "".join(f'<a href="#{key}">{name}</a>' for key, name in links)
    git = inputs.identity.git
    state = f"commit {git.sha[:8]}{', with uncommitted changes' if git.dirty else ''}"
    line = f"version {inputs.identity.version} · {state} · started {inputs.identity.started_at}"
    scale = f"scale {inputs.scale} · {inputs.source_mode} sources"
    return (
        f"{banner}<header><h1>Tessera diagnostics</h1>"
        f'<p class="soft">Run <code>{escape(inputs.identity.run_id)}</code> · {escape(scale)}<br>{escape(line)}</p>'
        f"<nav>{anchors}</nav></header>"
    )


def _tiles(inputs: ReportInputs) -> str:
    targets, n_failed = inputs.targets, len(failures(inputs.sanity))
    national = inputs.areas[inputs.areas["kind"] == "national"]
    households = float(national["weight_sum"].iloc[0]) if len(national) else float("nan")
    tiles = [_gate_tile(inputs.gate)]
    for share, label in (
        (targets.share_within_1, "1 %"), (targets.share_within_5, "5 %"), (targets.share_within_10, "10 %")
    ):  # fmt: skip
        tiles.append(tile(shown(share, "percent"), f"of targets met within {label}"))
    tiles += [
        tile(shown(targets.median_abs_rel_error, "percent"), "median absolute error"),
        tile(f"{targets.n_targets:,}", f"targets fitted, {len(targets.unachievable):,} unachievable"),
        tile(f"{len(inputs.areas):,}", "area files"),
        tile(shown(households, "amount"), "households in the national file"),
        tile(f"{n_failed:,}", f"of {len(inputs.sanity):,} file checks failed",
             "bad" if n_failed or not inputs.sanity else "good"),
    ]  # fmt: skip
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _gate_tile(gate: GateResult | None) -> str:
    if gate is None:
        return tile("not yet", "release gate evaluated")
    return tile("open", "release gate", "good") if gate.passed else tile("closed", "release gate", "bad")


def _section(key: str, title: str, body: str) -> str:
    return f'<section id="{key}"><h2>{escape(title)}</h2>{body}</section>'


def _gate(inputs: ReportInputs) -> str:
    if inputs.gate is None:
        return '<p class="soft">The gate is evaluated after this report was made; see the manifest of the release.</p>'
    columns = (
        Column("name", "Rule", "code"), Column("passed", "Outcome", "passed"), Column("seen", "Seen"),
        Column("wanted", "Wanted"),
    )  # fmt: skip
    frame = pd.DataFrame([vars(rule) for rule in inputs.gate.rules], columns=[column.name for column in columns])
    text = "Every rule must pass before anything is staged." if inputs.gate.passed else "A failing rule blocks release."
    return f'<p class="soft">{text}</p><div class="card">{table(frame, columns)}</div>'


def _figures(inputs: ReportInputs) -> str:
    if not inputs.figures:
        return '<p class="soft">No figure was made for this run.</p>'
    parts = [
        f'<figure><h3>{escape(figure.title)}</h3><img alt="{escape(figure.title)}" src="{as_data_uri(figure.png)}">'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
        for figure in inputs.figures
    ]
    return f'<div class="figures">{"".join(parts)}</div>'


def _group_columns(first: Column) -> tuple[Column, ...]:
    return (
        first, Column("n_targets", "Targets", "count"), Column("share_within_1", "≤ 1 %", "percent"),
        Column("share_within_5", "≤ 5 %", "percent"), Column("share_within_10", "≤ 10 %", "percent"),
        Column("mean_abs_rel_error", "Mean", "percent"), Column("median_abs_rel_error", "Median", "percent"),
        Column("max_abs_rel_error", "Largest", "percent"),
    )  # fmt: skip


def _targets(inputs: ReportInputs) -> str:
    summary = inputs.targets
    parts = [
        ("By geographic level", table(summary.by_level, _group_columns(Column("geo_level", "Level", "tight")))),
        ("By source", table(summary.by_source, _group_columns(Column("source", "Source")))),
        ("By variable, least met first",
         table(summary.by_variable, _group_columns(Column("variable", "Variable", "code")))),
        ("Mean absolute error, variable by level", heat_table(summary.heat_map, LEVELS)),
    ]  # fmt: skip
    if len(inputs.sums):
        columns = (
            Column("quantity", "Quantity", "code"), Column("geo_level", "Sum of", "tight"),
            Column("estimate", "Sum of estimates", "amount"), Column("national_estimate", "National", "amount"),
            Column("estimate_ratio", "Ratio", "percent"), Column("target_ratio", "Ratio of targets", "percent"),
        )  # fmt: skip
        parts.append(("Sum of areas beside the nation", table(inputs.sums, columns)))
    if len(inputs.holdout):
        holdout = [Column(str(name), str(name).replace("_", " ")) for name in inputs.holdout.columns]
        parts.append(("Hold-out: targets that the fit did not see", table(inputs.holdout, holdout)))
    cards = [
        f'<div class="card"><h3>{escape(title)}</h3><div class="scroll">{body}</div></div>' for title, body in parts
    ]
    note = f" {summary.n_not_finite:,} estimates are not finite." if summary.n_not_finite else ""
    return (
        '<p class="soft">Shares of targets whose estimate lies within 1, 5 and 10 % of the published figure.'
        f" Click a heading to sort.{note}</p>{''.join(cards[:2])}{''.join(cards[2:])}"
    )


def _worst(inputs: ReportInputs) -> str:
    columns = (
        Column("name", "Target"), Column("variable", "Variable", "code"), Column("geo_id", "Area", "tight"),
        Column("target", "Published", "amount"), Column("estimate", "Estimate", "amount"),
        Column("rel_error", "Error", "percent"), Column("source", "Source"),
    )  # fmt: skip
    return f'<div class="card">{table(inputs.targets.worst, columns, empty="No target was fitted.")}</div>'


def _unachievable(inputs: ReportInputs) -> str:
    columns = (
        Column("name", "Target"), Column("variable", "Variable", "code"), Column("geo_level", "Level", "tight"),
        Column("geo_id", "Area", "tight"), Column("target", "Published", "amount"), Column("source", "Source"),
        Column("reason", "Reason"),
    )  # fmt: skip
    frame = inputs.targets.unachievable
    body = table(frame, columns, identity="unachievable-table", empty="Every target has records that carry it.")
    bar = _filter("unachievable-table") if len(frame) else ""
    text = "These left the fit and enter no share above."
    return f'<p class="soft">{text}</p><div class="card">{bar}<div class="scroll">{body}</div></div>'


def _areas(inputs: ReportInputs) -> str:
    columns = (
        Column("key", "Area", "tight"), Column("kind", "Kind", "tight"), Column("records", "Households", "count"),
        Column("persons", "Persons", "count"), Column("weight_sum", "Weighted", "count"),
        Column("ess", "Eff. sample", "count"), Column("max_weight", "Largest w", "count"),
        Column("n_targets", "Targets", "count"), Column("share_within_10", "≤ 10 %", "percent"),
        Column("mean_abs_rel_error", "Mean", "percent"), Column("bytes", "Bytes", "amount"),
        Column("sha256", "sha256", "code"),
    )  # fmt: skip
    frame = inputs.areas.assign(sha256=inputs.areas["sha256"].astype(str).str[:10])
    body = table(frame, columns, identity="areas-table", kind="kind", empty="No area file was written.")
    bar = _filter("areas-table", list(dict.fromkeys(inputs.areas["kind"]))) if len(frame) else ""
    return f'<div class="card">{bar}<div class="scroll">{body}</div></div>'


def _filter(identity: str, kinds: list[str] | None = None) -> str:
    choice = ""
    if kinds:
        options = "".join(f'<option value="{escape(kind)}">{escape(kind)}</option>' for kind in kinds)
        choice = f'<select aria-label="kind of area"><option value="">every kind</option>{options}</select>'
    return (
        f'<div class="filter" data-table="{identity}"><input type="search" placeholder="Filter, for example CA-" '
        f'aria-label="filter rows">{choice}<span class="soft"></span></div>'
    )


def _checks(inputs: ReportInputs) -> str:
    counted: dict[str, list[int]] = {}
    for result in inputs.sanity:
        tally = counted.setdefault(result.check, [0, 0])
        tally[0 if result.passed else 1] += 1
    columns = (
        Column("check", "Check", "code"), Column("passed", "Files that pass", "count"),
        Column("failed", "Files that fail", "count"),
    )  # fmt: skip
    rows = [{"check": name, "passed": tally[0], "failed": tally[1]} for name, tally in counted.items()]
    frame = pd.DataFrame(rows, columns=["check", "passed", "failed"])
    failed = pd.DataFrame([vars(result) for result in failures(inputs.sanity)[:100]])
    failing = (
        Column("area", "Area", "tight"), Column("check", "Check", "code"), Column("seen", "Seen"),
        Column("wanted", "Wanted"),
    )  # fmt: skip
    listed = f'<div class="card"><h3>Failures</h3>{table(failed, failing)}</div>' if len(failed) else ""
    body = table(frame, columns, empty="No check was run: treat the files as unchecked.")
    return f'<div class="card">{body}</div>{listed}'


def _weights(inputs: ReportInputs) -> str:
    frame = pd.DataFrame([{"fit": name} | vars(health) for name, health in inputs.weights.items()])
    columns = (
        Column("fit", "Fit", "tight"), Column("n_records", "Records", "count"),
        Column("n_nonzero", "Above zero", "count"), Column("weight_sum", "Households", "count"),
        Column("ess", "Effective sample", "count"), Column("design_effect", "Design effect", "decimal"),
        Column("top_1_share", "Share of the top 1 %", "percent"), Column("max_weight", "Largest weight", "count"),
        Column("max_ratio", "Largest ratio to design", "decimal"),
    )  # fmt: skip
    return f'<div class="card">{table(frame, columns, empty="No fit is described.")}</div>'


def _provenance(inputs: ReportInputs) -> str:
    columns = (
        Column("name", "Source", "tight"), Column("vintage", "Vintage", "tight"), Column("kind", "Kind", "tight"),
        Column("url", "Published at"), Column("sha256", "sha256", "code"),
    )  # fmt: skip
    rows = [vars(item) | {"kind": "synthetic" if item.synthetic else "official"} for item in inputs.sources]
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    frame["sha256"] = frame["sha256"].astype(str).str[:16]
    return (
        f'<div class="columns"><div class="card"><h3>Settings</h3>{facts(inputs.settings)}</div>'
        f'<div class="card"><h3>Versions</h3>{facts(inputs.packages)}</div></div>'
        f'<div class="card"><h3>Source files</h3>{table(frame, columns, empty="No source is listed.")}</div>'
    )


def _footer(inputs: ReportInputs) -> str:
    outcome = pill(None if inputs.gate is None else inputs.gate.passed)
    mark = "SYNTHETIC DATA. " if inputs.synthetic else ""
    return f"<footer>{mark}Run <code>{escape(inputs.identity.run_id)}</code>, release gate {outcome}</footer>"


_READING = """<div class="card"><dl class="facts">
<dt>Target</dt><dd>A published figure, such as the households on SNAP in a state, that weights are fitted to.</dd>
<dt>Error</dt><dd>Estimate less target, over target. A target of zero is met only by zero.</dd>
<dt>≤ 10 %</dt><dd>Share of targets whose absolute error is at most 10 %. Unachievable targets are not counted.</dd>
<dt>Unachievable</dt><dd>No record carries a value for it, so no weights can reach it.</dd>
<dt>Effective sample</dt><dd>Records of equal weight that would give the same precision: (Σw)² / Σw². Below about 100,
estimates for the area are coarse.</dd>
<dt>Design effect</dt><dd>Records above zero over effective sample: the price of unequal weights. 1 is none.</dd>
<dt>Top 1 %</dt><dd>Share of all weight on the heaviest 1 % of records. High: few households speak for many.</dd>
<dt>Maps</dt><dd>One square a state, cut into one cell a district in order of number. Squares are equal, states are
not: California's 52 cells are small, Wyoming's one is large.</dd>
<dt>Sum of areas</dt><dd>State and district files are fitted together, the national file apart from them, so their sums
may differ from the national estimate; targets of different vintages differ too.</dd>
</dl></div>"""
