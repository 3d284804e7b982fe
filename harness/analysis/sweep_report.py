"""Report of the sweeps of an experiment: tables of effects and combinations, sentences, and heatmaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from harness.analysis.plots.save import DrawnFigure
from harness.analysis.plots.sweeps import SweepPanel, save_sweeps
from harness.analysis.tables.sweep import Effect, Study, cells_table, effects_table, studies, sweep_effects
from harness.analysis.tables.sweep_text import findings, short_verdict, sweep_markdown
from harness.config import StatisticsConfig
from harness.experiment.design import Design

__all__ = ["SweepReport", "compared_pairwise", "report_sweeps"]


STABILITY_SHOWN = ("share_lost", "fluctuation", "seed_deviation")
"""Measures of stability that are drawn: of a training, of its second half, and over seeds."""

MOST_PAIRS = 6
"""Largest number of pairs of factors that are drawn."""

Rows = list[list[SweepPanel]]


@dataclass(frozen=True)
class SweepReport:
    """Results of the sweeps of an experiment."""

    effects: pd.DataFrame
    cells: pd.DataFrame
    findings: dict[str, str]
    """Environment -> sentences."""
    figures: tuple[DrawnFigure, ...]


def report_sweeps(
    designs: Sequence[Design], metrics: pd.DataFrame, statistics: StatisticsConfig, out: Path, *, pdf: bool = False
) -> SweepReport | None:
    """Write tables and figures of the sweeps below `out`, and return them; None if there is no sweep.

    metrics: from `run_metrics`. pdf: also write the figures as PDF. Raises OSError if the folder cannot be written.
    """
    found = studies(designs, metrics, statistics)
    if not found:
        return None
    effects = sweep_effects(found, statistics)
    told = findings(found, effects, statistics)
    table, cells = effects_table(effects, statistics), cells_table(found, statistics)
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "sweep.csv", index=False)
    cells.to_csv(folder / "sweep_cells.csv", index=False)
    (folder / "sweep.md").write_text(sweep_markdown(told, table, statistics), encoding="utf-8")
    panels = list(_figures(found, effects, statistics))
    figures = save_sweeps(panels, out / "plots", confidence=statistics.confidence, pdf=pdf)
    return SweepReport(table, cells, told, tuple(figures))


def compared_pairwise(metrics: pd.DataFrame, designs: Sequence[Design], statistics: StatisticsConfig) -> pd.DataFrame:
    """Return the runs of the algorithms that are compared in pairs.

    Without a baseline the combinations of a sweep are not: their factors are tested instead. Its default alone is
    compared with the algorithms outside the sweep.
    """
    if statistics.baseline is not None or not designs:
        return metrics
    kept = {design.default for design in designs}
    left_out = {label for design in designs for label in design.points if label not in kept}
    return metrics[~metrics["algo"].isin(left_out)]


def _figures(
    found: Sequence[Study], effects: Sequence[Effect], statistics: StatisticsConfig
) -> Iterator[tuple[str, Rows]]:
    """Yield name and rows of panels of each figure: the scores, and the stability, of each design."""
    by_design: dict[int, list[Study]] = {}
    for study in found:
        by_design.setdefault(id(study.design), []).append(study)
    for number, mine in enumerate(by_design.values(), start=1):
        suffix = "" if number == 1 else f"_{number}"
        measures = {study.metric.name: [one for one in mine if one.metric is study.metric] for study in mine}
        scores = [name for name, group in measures.items() if group[0].metric.compared == "pairwise"]
        groups = {"score": scores, "stability": [name for name in STABILITY_SHOWN if name in measures]}
        for kind, names in groups.items():
            rows = [row for name in names for row in _rows(measures[name], effects, statistics)]
            yield f"sweep_{kind}{suffix}", rows


def _rows(mine: Sequence[Study], effects: Sequence[Effect], statistics: StatisticsConfig) -> Rows:
    """Return a row for each pair of factors, or for the only factor, with a panel for each environment."""
    places = range(len(mine[0].design.factors))
    pairs: list[tuple[int, ...]] = [*itertools.islice(itertools.combinations(places, 2), MOST_PAIRS)]
    rows = [[_panel(study, pair, effects, statistics) for study in mine] for pair in pairs or [(0,)]]
    return rows if mine[0].metric.unit else [_on_one_scale(row) for row in rows]


def _on_one_scale(row: Sequence[SweepPanel]) -> list[SweepPanel]:
    """Return panels of a measure without a unit with equal colours, so that noise around zero does not look large."""
    ranges = [panel.own_limits for panel in row if not panel.is_empty]
    if not ranges:
        return list(row)
    limits = (min(low for low, _ in ranges), max(high for _, high in ranges))
    return [replace(panel, limits=limits) for panel in row]


def _panel(
    study: Study, places: tuple[int, ...], effects: Sequence[Effect], statistics: StatisticsConfig
) -> SweepPanel:
    factors = [study.design.factors[place] for place in places]
    others = tuple(axis for axis in range(len(study.design.factors)) if axis not in places)
    alpha = 1.0 - statistics.confidence
    mine = [effect for effect in effects if effect.study is study and set(effect.factors) <= set(places)]
    return SweepPanel(
        env=study.env,
        measure=study.metric.title,
        unit=study.metric.unit,
        higher_is_better=study.higher_is_better,
        factors=tuple(factor.name for factor in factors),
        levels=tuple(factor.texts for factor in factors),
        numeric=tuple(factor.is_numeric for factor in factors),
        defaults=tuple(factor.default for factor in factors),
        land=study.landscape(places, statistics.confidence),
        n_failed=study.failed.sum(axis=others),
        verdicts=tuple(short_verdict(effect, alpha) for effect in mine),
        averaged=tuple(factor.name for factor in study.design.factors if factor not in factors),
    )
