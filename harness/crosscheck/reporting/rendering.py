"""The answer of a cross-check for the terminal, and as JSON. Without torch: results are plain data."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from harness.catalogue.deviation import Deviation
    from harness.crosscheck.explaining.search import Explanation
    from harness.crosscheck.reporting.findings import Finding
    from harness.crosscheck.reporting.results import Crosscheck, RunResult

__all__ = ["as_json", "as_text", "seeds_in_words"]

_COLOURS = {"identical": "green", "rounding": "yellow", "different": "red"}

_MOST_LISTED = 12


def as_text(result: Crosscheck, catalogue: Mapping[str, Deviation]) -> RenderableType:
    """What the terminal shows. catalogue: deviations by their id."""
    parts: list[RenderableType] = [_heading(result), _table(result.runs)]
    shown = _first_different(result)
    if shown is not None:
        parts += [*_divergence(result, shown), *_faults(result, shown)]
    else:
        parts += _notes(result.runs)
    parts += _explanation(result, catalogue)
    parts.append(_verdict(result))
    if result.from_same_weights is not None:
        parts += [
            Text.from_markup("\n[bold]The same from the reference's first weights[/bold] (as --copy-weights does)"),
            as_text(result.from_same_weights, catalogue),
        ]
    elif result.trouble:
        parts.append(Text(f"what comes after the first weights cannot be looked at: {result.trouble}", style="dim"))
    elif shown is not None and result.explanation is None and _starts_apart(shown):
        parts.append(
            Text("--copy-weights starts from the reference's weights, --explain searches for causes", style="dim")
        )
    return Group(*parts)


def _starts_apart(run: RunResult) -> bool:
    return run.first_beyond_rounding is not None and run.first_beyond_rounding.quantity == "initial_parameters"


def _heading(result: Crosscheck) -> RenderableType:
    seeds = seeds_in_words(sorted({run.seed for run in result.runs}))
    return Text.from_markup(
        f"[bold]{escape(result.subject)}[/bold] beside [bold]{escape(result.reference)}[/bold]: "
        f"profile {escape(result.profile)}, seed{'s' if ',' in seeds or '-' in seeds else ''} {seeds}\n"
    )


def _table(runs: Sequence[RunResult]) -> Table:
    """A row for each environment."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("environment", no_wrap=True)
    for name in ("seeds", "identical", "rounding", "different", "arrays", "steps"):
        table.add_column(name, justify="right")
    table.add_column("first difference")
    for env in dict.fromkeys(run.env for run in runs):
        mine = [run for run in runs if run.env == env]
        counts: Counter[str] = Counter(run.verdict for run in mine)
        cells = [
            f"[{_COLOURS[verdict]}]{counts[verdict]}[/]" if counts[verdict] else "[dim]0[/]" for verdict in _COLOURS
        ]
        table.add_row(
            escape(env),
            str(len(mine)),
            *cells,
            f"{sum(run.n_compared for run in mine):,}",
            f"{sum(run.n_minibatches for run in mine):,}",
            _firsts(mine),
        )
    return table


def _firsts(runs: Iterable[RunResult]) -> str:
    found = Counter(
        f"{finding.quantity}, iteration {finding.iteration}"
        for run in runs
        if (finding := run.first_beyond_rounding or run.first) is not None
    )
    return escape("; ".join(name for name, _ in found.most_common(2))) or "[dim]none[/]"


def _first_different(result: Crosscheck) -> RunResult | None:
    """The run to show: of those that differ most clearly the one that does so first."""
    for verdict in ("different", "rounding"):
        runs = [run for run in result.runs if run.verdict == verdict]
        if runs:
            return min(runs, key=_when)
    return None


def _when(run: RunResult) -> tuple[int, int, int, int]:
    found = run.first_beyond_rounding or run.first
    assert found is not None
    return found.iteration, found.step, found.epoch or 0, found.minibatch or 0


def _divergence(result: Crosscheck, run: RunResult) -> list[RenderableType]:
    found = run.first_beyond_rounding or run.first
    assert found is not None
    table = _pairs()
    table.add_row("where", found.where)
    table.add_row("what", f"[bold]{found.quantity}[/bold]: {escape(found.meaning)}")
    if found.element:
        table.add_row("first at", escape(_extent(found)))
    table.add_row("subject", escape(found.ours) + (f"   [italic]{escape(found.relation)}[/]" if found.relation else ""))
    table.add_row(escape(result.reference), escape(found.theirs))
    for name, line in (("subject", run.our_line), (result.reference, run.their_line)):
        if line is not None:
            of = f"   [dim]of {', '.join(line.of)}[/]" if line.of else ""
            table.add_row(f"{escape(name)}'s line", f"[cyan]{escape(str(line))}[/]{of}")
    if run.optimizers is not None:
        table.add_row(
            "optimisers", f"subject {escape(run.optimizers[0])}, {escape(f'{result.reference} {run.optimizers[1]}')}"
        )
    if run.first is not None and (run.first.quantity, run.first.where) != (found.quantity, found.where):
        table.add_row("before that", f"rounding, first in {run.first.quantity}: {run.first.where}")
    for note in run.notes:
        table.add_row("note", escape(note))
    return [Text.from_markup(f"[bold]First difference[/bold] ({escape(run.env)}, seed {run.seed})"), table, Text()]


def _notes(runs: Sequence[RunResult]) -> list[RenderableType]:
    """What an answer without differences rests on."""
    notes = dict.fromkeys(note for run in runs for note in run.notes)
    return [_indented(f"note: {note}") for note in notes]


def _extent(found: Finding) -> str:
    if found.n_different is None or found.n_elements is None:
        return found.element
    return f"{found.element} ({found.n_different:,} of {found.n_elements:,} differ)"


def _faults(result: Crosscheck, run: RunResult) -> list[RenderableType]:
    """What is wrong at each stage by itself."""
    if not run.faults:
        return []
    table = _pairs()
    for found in run.faults[:_MOST_LISTED]:
        table.add_row(f"[red]{found.quantity}[/]", f"{found.where}   [italic]{escape(found.relation)}[/]")
    return [Text.from_markup("[bold]Stages that go wrong even with right inputs[/bold]"), table, Text()]


def _explanation(result: Crosscheck, catalogue: Mapping[str, Deviation]) -> list[RenderableType]:
    explanation = result.explanation
    if explanation is None:
        return []
    parts: list[RenderableType] = [Text.from_markup(f"[bold]Cause[/bold]: {explanation.verdict}")]
    table = _pairs()
    for names in explanation.deviations:
        for number, name in enumerate(names):
            deviation = catalogue[name]
            label = f"[bold]{name}[/bold]" if number == 0 else f"or [bold]{name}[/bold]"
            table.add_row("", f"{label}: {escape(deviation.description)}")
            table.add_row("", f"[green]to be like {result.reference}: {escape(deviation.remedy)}[/]")
            table.add_row("", f"[dim]{escape(deviation.source)}[/]")
        if len(names) > 1:
            table.add_row("", "[italic]these cannot be told apart here: they give the same numbers[/]")
    parts.append(table)
    if result.verified is not None and explanation.deviations:
        good, total = result.verified
        parts.append(_indented(f"together they reproduce {good} of {total} runs"))
    if explanation.verdict == "partly explained":
        left = min(beyond for beyond, _ in explanation.scores)
        minibatch = f", minibatch {left.minibatch} of the update" if left.minibatch else ""
        parts.append(
            _indented(f"with them CustomPPO goes along until {left.quantity}, step {left.step} of training{minibatch}")
        )
    if explanation.verdict in ("not explained", "partly explained"):
        parts += _ruled_out(explanation)
    late = "" if explanation.exhausted else "; time was up before everything was tried (--seconds gives more)"
    parts.append(_indented(f"{explanation.n_candidates:,} runs of CustomPPO in {explanation.seconds:.0f} s{late}"))
    return [*parts, Text()]


def _ruled_out(explanation: Explanation) -> list[RenderableType]:
    """Of those that were tried in vain, the ones that come closest by name."""
    lines = []
    if explanation.touching:
        lines.append(f"it is none of those that would change this number: {', '.join(explanation.touching)}")
    if explanation.early:
        none = "nor" if lines else "it is none"
        lines.append(f"{none} of {len(explanation.early)} that would have shown before")
    if explanation.silent:
        lines.append(
            f"{len(explanation.silent)} more show nothing until then and are not ruled out (--json lists them)"
        )
    return [_indented(line) for line in lines]


def _indented(text: str) -> RenderableType:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))


def _verdict(result: Crosscheck) -> RenderableType:
    counts = Counter(run.verdict for run in result.runs)
    n_steps = sum(run.n_minibatches for run in result.runs)
    n_arrays = sum(run.n_compared for run in result.runs)
    if result.verdict == "identical":
        text = (
            f"[bold green]identical[/]: every bit of {n_arrays:,} arrays and {n_steps:,} optimiser steps "
            f"in {_runs(len(result.runs))}"
        )
    elif result.verdict == "rounding":
        text = (
            f"[bold yellow]equal up to rounding[/] in {_runs(len(result.runs))}, "
            f"{counts['identical']} of them identical"
        )
    else:
        text = f"[bold red]different[/] in {counts['different']} of {_runs(len(result.runs))}"
    return Text.from_markup(f"{text} ({result.seconds:.0f} s)")


def _runs(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"


def _pairs() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    return table


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Such as "0-4" or "0, 3, 7"."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def as_json(result: Crosscheck) -> dict[str, Any]:
    """Everything, as JSON knows it: no infinities, tuples as lists."""
    data: dict[str, Any] = _plain(dataclasses.asdict(result))
    if result.explanation is not None:
        data["explanation"].pop("scores")
    return {"format": 1, **data}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
