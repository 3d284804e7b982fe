"""Content of the page, section by section, in the order in which a reviewer asks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from harness.analysis.page.aggregates import AGGREGATE_TABLES, aggregate_lead, aggregate_sentences, without_copies
from harness.analysis.page.evidence import EVIDENCE_FIGURES, EVIDENCE_TABLES, evidence_sections, further_families
from harness.analysis.page.grids import Grid, grid
from harness.analysis.page.methods import methods
from harness.analysis.page.provenance import Provenance, provenance
from harness.analysis.page.repeats import Copies, find_copies
from harness.analysis.page.section import Section
from harness.analysis.page.sentences import Sentence, caveats, verdict_sentences
from harness.analysis.plots.save import DrawnFigure
from harness.analysis.stats import seeds_text, share_interval
from harness.analysis.tables import Comparison, display_table
from harness.analysis.tables.formats import number
from harness.analysis.tables.sweep_text import sweep_cells, sweep_note
from harness.config import ExperimentConfig, StatisticsConfig
from harness.experiment.declaration import RuleHistory

__all__ = ["PageInput", "page_content", "rule_digest"]

FIGURES = {
    "performance": ("final_scores", "score_differences", "iqm_curves", "smoothed_rewards", "raw_rewards"),
    "stability": ("return_variability", "stability_effects", "update_diagnostics"),
    "aggregates": ("aggregate_intervals", "performance_profiles", "improvement_over_tasks"),
}
"""Section -> its figures by name; others are shown in a section of their own."""

SWEEP = "sweep_"
"""Beginning of the names of the figures of a sweep."""

KNOWN_TABLES = ("runs", "summary", "pairwise", "stability", "audit", "sweep", *AGGREGATE_TABLES, *EVIDENCE_TABLES)


@dataclass(frozen=True)
class PageInput:
    """All that a page is made of."""

    title: str
    runs: pd.DataFrame
    """Runs of `Results`, with the folder of each."""
    tables: Mapping[str, pd.DataFrame]
    """Tables by name: runs, summary, pairwise, stability, and any others."""
    notes: Mapping[str, str]
    """Notes of the tables, as text with Markdown tables."""
    scores: Sequence[Comparison]
    """Comparisons of the scores, in the order of the table pairwise."""
    figures: Sequence[DrawnFigure]
    statistics: StatisticsConfig
    config: ExperimentConfig | None
    """Experiment of the runs; None for logs without one."""
    rule: RuleHistory | None = None
    """Rule of the experiment and what is known of its past; None for logs without an experiment."""
    findings: Mapping[str, str] = field(default_factory=dict)
    """Environment -> sentences on the sweeps of the experiment, of which the table `sweep` has the effects."""


def page_content(page: PageInput) -> dict[str, Any]:
    """Return the variables of the template."""
    copies = find_copies(page.tables["pairwise"])
    origin = provenance(page.runs)
    swept = [Sentence("", f"{place}: {text}") for place, text in page.findings.items()]
    sections = [
        _compared(page),
        *_audit(page),
        *_sweep(page),
        _performance(page, copies),
        *_aggregates(page, copies),
        _stability(page, copies),
        _parity(page, copies),
        _failed(page),
        _seeds(page, copies),
        _inconclusive(page, copies),
        *evidence_sections(page.tables, page.notes, page.figures),
        *_others(page),
    ]
    return {
        "title": page.title,
        "subtitle": _subtitle(page, origin),
        "verdict": [
            *swept,
            *aggregate_sentences(page.tables, copies),
            *(verdict_sentences(page.tables["pairwise"], copies) or ([] if swept else [_no_pair(page)])),
        ],
        "caveats": [
            *_rule_caveats(page.rule),
            *caveats(page.tables["runs"], page.tables["pairwise"], page.statistics),
        ],
        "sections": sections,
        "methods": methods(page.statistics),
        "provenance": origin,
        "provenance_grid": grid("provenance", "Every run, with its origin", origin.header, origin.rows),
    }


def rule_digest(statistics: StatisticsConfig) -> str:
    """Return the SHA-256 of the rule of judgement: confidence, margin, references, baseline, rule for failed runs."""
    return hashlib.sha256(json.dumps(asdict(statistics), sort_keys=True).encode()).hexdigest()


def _rule_caveats(rule: RuleHistory | None) -> Iterator[Sentence]:
    if rule is not None and rule.changes:
        yield Sentence("caveat", f"The rule is not that of before the runs: {'; '.join(rule.changes)}.")


def _subtitle(page: PageInput, origin: Provenance) -> str:
    runs = page.runs
    text = (
        f"{len(runs):,} runs: {_count(runs['algo'].nunique(), 'algorithm')}, "
        f"{_count(runs['env'].nunique(), 'environment')}, {_count(runs['seed'].nunique(), 'seed')}"
    )
    if origin.dates is None:
        return text
    first, last = origin.dates
    return f"{text}; made on {first}" if first == last else f"{text}; made from {first} to {last}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def _declared_pairs(statistics: StatisticsConfig, *, has_sweep: bool) -> str:
    if statistics.baseline is not None:
        return f"every algorithm with the baseline {statistics.baseline}"
    if statistics.pairs:
        return f"declared: {'; '.join(f'{first} with {second}' for first, second in statistics.pairs)}"
    if has_sweep:
        return "every pair of algorithms outside the sweep and its default; of the sweep, the factors are tested"
    return "every pair of algorithms"


def _no_pair(page: PageInput) -> Sentence:
    return Sentence("inconclusive", "There is no pair of algorithms on one environment, so that nothing is compared.")


def _compared(page: PageInput) -> Section:
    statistics = page.statistics
    runs, pairwise, stability = page.runs, page.tables["pairwise"], page.tables["stability"]
    header = ("environment", "steps", "seeds", "algorithms", "random", "best", "margin of equivalence")
    rows = []
    for env in runs["env"].cat.categories:
        own = runs[runs["env"] == env]
        reference = statistics.references.get(str(env))
        scale = ("–", "–", "none") if reference is None else (
            number(float(reference.random)),
            number(float(reference.best)),
            f"± {number(statistics.equivalence_margin * abs(reference.best - reference.random))}",
        )  # fmt: skip
        steps = own.loc[own["steps"] > 0, "steps"]
        rows.append((str(env), _range(steps), str(own["seed"].nunique()), str(own["algo"].nunique()), *scale))
    facts = [
        ("Question", "Does one algorithm reach a higher mean final score than another, on the same environment?"),
        ("Level", f"{1 - statistics.confidence:.2g} for all claims of a family together; intervals at "
                  f"{100 * statistics.confidence:g}%"),
        ("Families", f"{int(pairwise['p_holm'].notna().sum()):,} tests of scores; "
                     f"{int(stability['p_holm'].notna().sum()):,} tests of stability"
                     f"{further_families(page.tables)}; {_over_tasks(page)}{_of_factors(page)}"
                     "Holm's adjustment within each"),
        ("Pairs", _declared_pairs(statistics, has_sweep=bool(page.findings))),
        ("Failed runs", f"count by the rule “{statistics.failed_runs}”"),
        ("Rule (SHA-256)", rule_digest(statistics) if page.rule is None else page.rule.digest),
        ("Rule before the runs", "not known: no experiment declares one" if page.rule is None else page.rule.sentence),
    ]  # fmt: skip
    if page.config is not None:
        facts.append(("Experiment file (SHA-256)", hashlib.sha256(page.config.text.encode()).hexdigest()))
    return Section(
        "compared",
        "What was compared, and under which rule",
        "The rule and the plan are part of the experiment file, and are recorded when the experiment begins: the "
        "digest covers both, and “Rule before the runs” says whether they are what they were."
        if page.config is not None
        else "These runs have no experiment file: nobody can know whether the rule was chosen before they were seen.",
        facts=tuple(facts),
        grids=(grid("environments", "Environments, budgets and margins", header, rows),),
        details=tuple(_settings(page.config)),
    )


def _of_factors(page: PageInput) -> str:
    """Return the number of tests of the factors of sweeps, as a part of the sentence on families."""
    effects = page.tables.get("sweep")
    return "" if effects is None else f"{int(effects['p_holm'].notna().sum()):,} tests of factors of the sweep; "


def _over_tasks(page: PageInput) -> str:
    """Return the number of tests over environments, as a part of the sentence on families."""
    pairs = page.tables.get("aggregate_pairs")
    return "" if pairs is None else f"{int(pairs['p_holm'].notna().sum()):,} tests over environments; "


def _range(values: pd.Series[Any]) -> str:
    if values.empty:
        return "–"
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _settings(config: ExperimentConfig | None) -> Iterator[tuple[str, str]]:
    if config is not None:
        yield "Experiment file with every hyperparameter", config.text


def _performance(page: PageInput, copies: Copies) -> Section:
    pairwise = copies.without_repeats(page.tables["pairwise"])
    return Section(
        "performance",
        "Performance",
        "One score for each seed: the mean return of the final evaluation, or of what the log offers in its place.",
        grids=(
            _table("summary", "Summary over seeds, with intervals", page.tables["summary"]),
            _table("pairwise", "Pairs of algorithms, and the verdict on the first", pairwise),
        ),
        notes=(*_note(page, "summary"), *_note(page, "pairwise"), *_repeats_note(copies)),
        figures=_figures(page, "performance"),
    )


def _aggregates(page: PageInput, copies: Copies) -> Iterator[Section]:
    """Yield the section over environments, if there are two environments or more."""
    lead = aggregate_lead(page.tables, page.runs["env"].nunique())
    if lead is not None:
        captions = {
            "aggregates": "Aggregates over environments, normalised scores",
            "aggregate_pairs": "Pairs of algorithms over environments, and the verdict on the first",
            "references": "Reference scores that normalise",
        }
        tables = {name: page.tables[name] for name in captions if name in page.tables}
        if "aggregate_pairs" in tables:
            tables["aggregate_pairs"] = without_copies(tables["aggregate_pairs"], copies)
        grids = [_table(name, captions[name], table) for name, table in tables.items()]
        notes = tuple(note for name in tables for note in _note(page, name))
        figures = _figures(page, "aggregates")
        yield Section("aggregates", "Over environments", lead, grids=tuple(grids), notes=notes, figures=figures)


def _stability(page: PageInput, copies: Copies) -> Section:
    table = copies.without_repeats(page.tables["stability"])
    return Section(
        "stability",
        "Stability",
        "A policy that learns nothing is perfectly steady: read this section beside the scores.",
        grids=(_table("stability", "Measures of steadiness for each pair", table),),
        notes=(*_note(page, "stability"), *_repeats_note(copies)),
        figures=_figures(page, "stability"),
    )


def _repeats_note(copies: Copies) -> tuple[str, ...]:
    if not copies.by_env:
        return ()
    pairs = list(dict.fromkeys((copy, original) for (_, copy), original in copies.by_env.items()))
    named = ", ".join(f"{copy} (a copy of {original})" for copy, original in pairs[:8])
    return (
        f"Rows that would repeat others are left out where two algorithms are bit-equal: {named}. "
        "The CSV files have them.",
    )


def _parity(page: PageInput, copies: Copies) -> Section:
    pairwise = page.tables["pairwise"]
    rows = list(_equal_parameters(page.runs, pairwise))
    grids = []
    if rows:
        header = ("environment", "first", "second", "seeds with bit-equal parameters", "of")
        grids.append(grid("parity", "Bit-equal parameters after training", header, rows))
    tested = copies.without_repeats(pairwise[pairwise["p_equivalence"].notna()])
    if len(tested):
        titles = ("environment", "first", "second", "difference", "margin", "p of equivalence", "verdict")
        cells = [
            (str(row["env"]), str(row["first"]), str(row["second"]), number(row["difference"]),
             f"± {number(row['margin'])}", number(row["p_equivalence"]), str(row["verdict"]))
            for row in tested.to_dict("records")
        ]  # fmt: skip
        grids.append(grid("equivalence", "Tests of equivalence within the declared margins", titles, cells))
    n_identical, n_equivalent = (int((pairwise["verdict"] == word).sum()) for word in ("identical", "equivalent"))
    return Section(
        "parity",
        "Equivalence and parity",
        f"{_count(n_identical, 'pair')} identical in every bit, {_count(n_equivalent, 'pair')} equivalent within the "
        "margin. Identical is a proof for these runs; equivalent is a statistical claim; not different is neither.",
        grids=tuple(grids),
    )


def _equal_parameters(runs: pd.DataFrame, pairwise: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Yield the pairs of which at least one seed ended with bit-equal parameters."""
    finished = runs[(runs["status"] == "finished") & (runs["parameters_digest"] != "")]
    digests: dict[tuple[str, str], dict[int, str]] = {}
    for env, algo, seed, digest in finished[["env", "algo", "seed", "parameters_digest"]].itertuples(index=False):
        digests.setdefault((str(env), str(algo)), {})[int(seed)] = str(digest)
    for env, first, second in pairwise[["env", "first", "second"]].drop_duplicates().itertuples(index=False):
        one, other = digests.get((str(env), str(first)), {}), digests.get((str(env), str(second)), {})
        shared = one.keys() & other.keys()
        equal = sum(one[seed] == other[seed] for seed in shared)
        if equal:
            yield str(env), str(first), str(second), str(equal), str(len(shared))


def _failed(page: PageInput) -> Section:
    runs = page.runs
    broken = runs[runs["status"].isin(["failed", "missing"])]
    if broken.empty:
        lead = f"None: all {len(runs):,} runs ended with a result."
        return Section("failed", "Failed runs", lead)
    header = ("algorithm", "environment", "seed", "status", "steps", "reason", "folder")
    rows = [
        (
            *(str(row[name]) for name in ("algo", "env", "seed", "status")),
            f"{int(row['steps']):,}",
            str(row["error"]),
            str(row["path"]),
        )
        for row in broken.to_dict("records")
    ]
    rates = []
    for (env, algo), own in runs.groupby(["env", "algo"], observed=True):
        failed, ended = int((own["status"] == "failed").sum()), int((own["status"] != "missing").sum())
        if failed:
            rate = share_interval(failed, ended, page.statistics.confidence)
            rates.append(
                (str(env), str(algo), f"{failed} of {ended}", f"{rate.estimate:.0%} [{rate.low:.0%}, {rate.high:.0%}]")
            )
    grids = [grid("failures", "Runs without a result", header, rows)]
    if rates:
        grids.insert(
            0,
            grid("rates", "Failure rates with Wilson intervals", ("environment", "algorithm", "failed", "rate"), rates),
        )
    lead = (
        "Runs that were started and failed are part of the comparison. The reason of each verdict above names them, "
        "and says what other scores for them would change."
    )
    return Section("failed", "Failed runs", lead, grids=tuple(grids))


def _seeds(page: PageInput, copies: Copies) -> Section:
    rows = []
    for one in page.scores:
        verdict, pair = one.verdict, one.pair
        if verdict.outcome != "inconclusive" or any(
            (pair.env, algo) in copies.by_env for algo in (pair.first, pair.second)
        ):
            continue
        rows.append(
            (pair.env, pair.first, pair.second, str(min(one.test.n_x, one.test.n_y)),
             _detectable_cell(verdict.detectable), verdict.seeds_for_difference.text,
             _seeds_cell(verdict.seeds_for_equivalence))
        )  # fmt: skip
    if not rows:
        return Section("seeds", "Seeds needed", "No comparison is inconclusive, so that no more seeds are called for.")
    header = (
        *("environment", "first", "second", "seeds now", "smallest difference shown"),
        *("for a winner", "for equivalence"),
    )
    lead = (
        "For each inconclusive pair: the smallest difference of mean scores that the seeds of today show in 80% of "
        "repetitions, and the seeds per algorithm at which 80% of repetitions would name a winner: a range, as few "
        "seeds leave much open (it holds the central 80% of the populations that these scores allow). Adding seeds "
        "until a test succeeds inflates its error; numbers of seeds declared beforehand as `looks` do not."
    )
    return Section("seeds", "Seeds needed", lead, grids=(grid("seeds", "Seeds needed to decide", header, rows),))


def _detectable_cell(difference: float) -> str:
    return "none" if math.isinf(difference) else number(difference)


def _seeds_cell(seeds: float) -> str:
    return "–" if math.isnan(seeds) else seeds_text(seeds)


def _inconclusive(page: PageInput, copies: Copies) -> Section:
    table = copies.without_repeats(page.tables["pairwise"])
    own = table[table["verdict"] == "inconclusive"]
    if own.empty:
        return Section("inconclusive", "What is inconclusive", "Nothing: every comparison of scores has an outcome.")
    header = ("environment", "first", "second", "difference", "why")
    rows = [
        (str(row["env"]), str(row["first"]), str(row["second"]), number(row["difference"]), str(row["reason"]))
        for row in own.to_dict("records")
    ]
    lead = (
        f"{len(own):,} of {len(table):,} comparisons of scores have no outcome. That is no sign of equality: these "
        "data agree with a difference as well as with none."
    )
    return Section(
        "inconclusive",
        "What is inconclusive",
        lead,
        grids=(grid("open", "Comparisons without an outcome", header, rows),),
    )


def _audit(page: PageInput) -> Iterator[Section]:
    """Yield a section on the logs of other programs: what was understood of every file, and what was left out."""
    if "audit" not in page.tables:
        return
    audit = page.tables["audit"]
    runs = audit[audit["status"] != "left out"]
    lead = (
        f"{_count(len(runs), 'run')} were found in logs of other programs, which do not record whether a training was "
        f"completed; {_count(len(audit) - len(runs), 'file')} were left out. Steps, status and source of the score are "
        "what the files show."
    )
    rows = grid("audit", "Every log, and what was understood", list(map(str, audit.columns)), _plain_rows(audit))
    yield Section("logs", "The logs, audited", lead, grids=(rows,))


def _sweep(page: PageInput) -> Iterator[Section]:
    """Yield a section on the sweeps of the experiment: effects of the factors, and heatmaps."""
    if "sweep" not in page.tables:
        return
    table = page.tables["sweep"]
    yield Section(
        "sweep",
        "The sweep",
        "Every combination was trained like an algorithm of its own; the factors are tested, and not all pairs of "
        "combinations. Settings that may be the best are surrounded.",
        grids=(grid("sweep", "Effects of the factors", *sweep_cells(table)),),
        notes=(sweep_note(page.statistics, table),),
        figures=tuple(figure for figure in page.figures if figure.name.startswith(SWEEP)),
    )


def _others(page: PageInput) -> Iterator[Section]:
    """Yield a section of the tables and figures that no other section shows."""
    placed = {name for names in FIGURES.values() for name in names} | set(EVIDENCE_FIGURES)
    figures = tuple(
        figure for figure in page.figures if figure.name not in placed and not figure.name.startswith(SWEEP)
    )
    grids = tuple(
        grid(name, name.replace("_", " "), list(map(str, table.columns)), _plain_rows(table))
        for name, table in page.tables.items()
        if name not in KNOWN_TABLES
    )
    if figures or grids:
        notes = tuple(note for name, note in page.notes.items() if name not in KNOWN_TABLES)
        yield Section("more", "Further tables and figures", "", grids=grids, figures=figures, notes=notes)


def _plain_rows(table: pd.DataFrame) -> list[list[str]]:
    return [
        [number(value) if isinstance(value, float) else str(value) for value in row]
        for row in table.itertuples(index=False)
    ]


def _table(name: str, caption: str, table: pd.DataFrame) -> Grid:
    """Return a table for the page, in which the outcome stands right after the two algorithms."""
    header, rows = display_table(name, table)
    order = list(range(len(header)))
    outcome = next((place for place, title in enumerate(header) if title in ("first is", "steadier")), None)
    if outcome is not None:
        order.insert(header.index("second") + 1, order.pop(outcome))
    return grid(name, caption, [header[place] for place in order], [[row[place] for place in order] for row in rows])


def _note(page: PageInput, name: str) -> tuple[str, ...]:
    return (page.notes[name],) if name in page.notes else ()


def _figures(page: PageInput, section: str) -> tuple[DrawnFigure, ...]:
    order = FIGURES[section]
    return tuple(sorted((f for f in page.figures if f.name in order), key=lambda f: (order.index(f.name), f.page)))
