"""Collecting what a run left behind into the inputs of its report.

Holds the joining; what the report looks like is in `document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.config import MODEL_YEAR, Scale, SourceMode
from tessera.diagnostics import plots
from tessera.diagnostics.areas import AreaMeasures
from tessera.diagnostics.targets import TargetSummary, sum_of_areas, summarise_targets
from tessera.diagnostics.weights import weights_health
from tessera.release.gate import gate_of
from tessera.release.identity import RunIdentity
from tessera.release.manifest import SourceEntry, package_versions
from tessera.report.document import ReportFigure, ReportInputs


@dataclass(frozen=True)
class RunFacts:
    """What a run was configured with and read.

    Attributes:
        scale: preset.
        source_mode: synthetic or official.
        seed: root seed.
        minimum_within_10: share of supported targets that a release needs within 10 %.
        sources: source files.
        area_folder: folder of the area files.
        identity: of the run.
    """

    scale: Scale
    source_mode: SourceMode
    seed: int
    minimum_within_10: float
    sources: tuple[SourceEntry, ...]
    area_folder: Path
    identity: RunIdentity


def collect_report(
    facts: RunFacts,
    measures: AreaMeasures,
    table: pd.DataFrame,
    unachievable: pd.DataFrame,
    design_weights: npt.NDArray[np.float64],
    weights: Mapping[str, npt.NDArray[np.float64]],
    histories: Mapping[str, pd.DataFrame],
) -> ReportInputs:
    """Everything that the report of a run shows.

    Args:
        facts: configuration and sources.
        measures: of the area files.
        table: every supported target with its estimate on the weights that ship for its area.
        unachievable: targets without support, with reasons.
        design_weights: what both fits started from, shape (n_records,).
        weights: name of a fit -> its weights, shape (n_records,).
        histories: name of a fit -> its loss history.
    """
    summary = summarise_targets(table, unachievable)
    scale = facts.scale
    return ReportInputs(
        identity=facts.identity,
        packages=package_versions(),
        scale=scale.name,
        settings={
            "households": f"{scale.households:,}",
            "clones of each": f"{scale.clones:,}",
            "model year": str(MODEL_YEAR),
            "seed": str(facts.seed),
            "targets within 10 % that a release needs": f"{facts.minimum_within_10:.0%}",
        },
        source_mode=facts.source_mode,
        synthetic=measures.synthetic,
        targets=summary,
        areas=measures.areas,
        weights={name: weights_health(values, design_weights, where=name) for name, values in weights.items()},
        sanity=measures.sanity,
        gate=gate_of(measures, table, facts.area_folder, facts.minimum_within_10),
        figures=_figures(measures, table, summary, weights, histories),
        sources=facts.sources,
        sums=sum_of_areas(table),
    )


def _figures(
    measures: AreaMeasures,
    table: pd.DataFrame,
    summary: TargetSummary,
    weights: Mapping[str, npt.NDArray[np.float64]],
    histories: Mapping[str, pd.DataFrame],
) -> tuple[ReportFigure, ...]:
    districts = measures.areas[measures.areas["kind"] == "district"].set_index("key")
    error = districts["mean_abs_rel_error"].to_dict()
    effective = districts["ess"].to_dict()
    return (
        ReportFigure(
            "Targets met, by level",
            plots.share_within_bars(summary.by_level),
            "Share of supported targets within 1, 5 and 10 %, each on the file of its area.",
        ),
        ReportFigure(
            "Loss", plots.loss_curve(histories), "Loss of the targets and records with an open gate, epoch by epoch."
        ),
        ReportFigure(
            "Errors by variable and level",
            plots.error_heat_map(summary.heat_map),
            "Mean absolute relative error; an empty cell has no target.",
        ),
        ReportFigure(
            "Targets met, by variable",
            plots.hit_rate_by_variable(summary.by_variable),
            "The variables whose targets are met least, least first.",
        ),
        ReportFigure(
            "Distribution of errors", plots.error_histogram(table), "Relative errors of all supported targets."
        ),
        ReportFigure(
            "Error of each district",
            plots.district_map(error, label="mean absolute relative error", percent=True),
            "One square a district, laid out by state; darker is further off.",
        ),
        ReportFigure(
            "Effective sample size of each district",
            plots.district_map(effective, label="effective records", kind="ess"),
            "Kish's effective number of records in the district's file.",
        ),
        ReportFigure("Weights", plots.weights_histogram(weights), "Positive weights in households, on a log scale."),
        ReportFigure(
            "Sums of areas against the nation",
            plots.sum_of_areas_plot(sum_of_areas(table)),
            "Sums over states and districts relative to the national estimate of the same quantity.",
        ),
    )
