"""Terminal output of a cross-check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.crosscheck.reporting.results import VERDICTS

if TYPE_CHECKING:
    from harness.catalogue.deviation import Deviation
    from harness.crosscheck.explaining.explanation import Explanation, RuledOut
    from harness.crosscheck.reporting.findings import Finding
    from harness.crosscheck.reporting.results import Crosscheck, RunResult

__all__ = ["as_text", "seeds_in_words"]

_COLOURS = {"identical": "green", "rounding": "yellow", "different": "red"}

_MOST_FAULTS = 12
"""Number of further faults that are printed."""

_CLAIMS = {
    "explained exactly": "CustomPPO with {} equals the subject to the bit",
    "explained up to rounding": "CustomPPO with {} equals the subject up to rounding",
    "partly explained": "CustomPPO with {} diverges from the subject later, but still diverges",
    "not explained": "no mistake of the catalogue reproduces the first divergence",
}
"""Verdict of an explanation -> its meaning in a sentence; {} is replaced by "this mistake" or "these mistakes"."""


def as_text(result: Crosscheck, catalogue: Mapping[str, Deviation]) -> RenderableType:
    """Return the terminal output. catalogue: deviations by their id."""
    run = _run_to_show(result)
    return Group(
        _heading(result),
        _table(result.runs),
        *(_notes(result.runs) if run is None else [*_divergence(result, run), *_faults(run)]),
        *([] if result.explanation is None else _explanation(result, result.explanation, catalogue)),
        _verdict(result),
        *_second_cross_check(result, run, catalogue),
    )


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Return a range of seeds, or their list, for example "0-4" or "0, 3, 7"."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _run_to_show(result: Crosscheck) -> RunResult | None:
    """Return the run that diverges first, among those with the worst verdict; None if all are identical."""
    runs = [run for run in result.runs if run.verdict == result.verdict != "identical"]
    return min(runs, key=_time_of_divergence, default=None)


def _time_of_divergence(run: RunResult) -> tuple[int, int, int, int]:
    found = _shown(run)
    assert found is not None
    return found.iteration, found.step, found.epoch or 0, found.minibatch or 0


def _shown(run: RunResult) -> Finding | None:
    """Return the divergence of a run to show: one within rounding only if there is no other."""
    return run.first_beyond_rounding or run.first


def _heading(result: Crosscheck) -> RenderableType:
    seeds = sorted({run.seed for run in result.runs})
    return Text.from_markup(
        f"subject [bold]{escape(result.subject)}[/bold], reference [bold]{escape(result.reference)}[/bold], "
        f"profile {escape(result.profile)}, seed{'s' if len(seeds) > 1 else ''} {seeds_in_words(seeds)}\n"
    )


def _table(runs: Sequence[RunResult]) -> Table:
    """Return a table with one row per environment."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("environment", no_wrap=True)
    for name in ("runs", *VERDICTS, "arrays compared", "optimiser steps"):
        table.add_column(name, justify="right")
    table.add_column("first divergence")
    for env in dict.fromkeys(run.env for run in runs):
        of_env = [run for run in runs if run.env == env]
        counts = Counter(run.verdict for run in of_env)
        table.add_row(
            escape(env),
            str(len(of_env)),
            *(f"[{_COLOURS[one]}]{counts[one]}[/]" if counts[one] else "[dim]0[/]" for one in VERDICTS),
            f"{sum(run.n_compared for run in of_env):,}",
            f"{sum(run.n_minibatches for run in of_env):,}",
            _most_frequent_divergences(of_env),
        )
    return table


def _most_frequent_divergences(runs: Iterable[RunResult]) -> str:
    names = Counter(f"{found.quantity}, iteration {found.iteration}" for run in runs if (found := _shown(run)))
    return escape("; ".join(name for name, _ in names.most_common(2))) or "[dim]none[/]"


def _divergence(result: Crosscheck, run: RunResult) -> list[RenderableType]:
    """Return the section on the first divergence of a run."""
    found = _shown(run)
    assert found is not None
    reference = f"reference ({escape(result.reference)})"
    table = _labelled_lines()
    table.add_row("where", found.where)
    table.add_row("quantity", f"[bold]{found.quantity}[/bold]: {escape(found.meaning)}")
    if found.element:
        table.add_row("first element", escape(_element_and_count(found)))
    table.add_row(
        "subject", escape(found.subject) + (f"   [italic]{escape(found.relation)}[/]" if found.relation else "")
    )
    table.add_row(reference, escape(found.reference))
    for side, line in (("subject", run.subject_line), ("reference", run.reference_line)):
        if line is not None:
            inputs = f"   [dim]reads {', '.join(line.of)}[/]" if line.of else ""
            table.add_row(f"line of {side}", f"[cyan]{escape(str(line))}[/]{inputs}")
    if run.optimizers is not None:
        for side, settings in zip(("subject", "reference"), run.optimizers, strict=True):
            table.add_row(f"optimiser of {side}", escape(settings))
    if run.first is not None and (run.first.quantity, run.first.where) != (found.quantity, found.where):
        table.add_row("rounding since", f"{run.first.quantity}: {run.first.where}")
    for note in run.notes:
        table.add_row("note", escape(note))
    return [Text.from_markup(f"[bold]First divergence[/bold] ({escape(run.env)}, seed {run.seed})"), table, Text()]


def _element_and_count(found: Finding) -> str:
    if found.n_different is None or found.n_elements is None:
        return found.element
    return f"{found.element} ({found.n_different:,} of {found.n_elements:,} elements differ)"


def _notes(runs: Sequence[RunResult]) -> list[RenderableType]:
    """Return what limits a comparison without divergences."""
    notes = dict.fromkeys(note for run in runs for note in run.notes)
    return [_indented(f"note: {note}") for note in notes]


def _faults(run: RunResult) -> list[RenderableType]:
    """Return the section on the faults that remain when every stage gets the reference's inputs."""
    if not run.faults:
        return []
    table = _labelled_lines()
    for found in run.faults[:_MOST_FAULTS]:
        relation = found.relation or found.subject  # an array that was not found has no relation
        table.add_row(f"[red]{found.quantity}[/]", f"{found.where}   [italic]{escape(relation)}[/]")
    if len(run.faults) > _MOST_FAULTS:
        table.add_row("", f"and {len(run.faults) - _MOST_FAULTS} more (--json lists them)")
    title = "[bold]Faults found with the reference's inputs at every stage[/bold]"
    return [Text.from_markup(title), table, Text()]


def _explanation(
    result: Crosscheck, explanation: Explanation, catalogue: Mapping[str, Deviation]
) -> list[RenderableType]:
    """Return the section on the deviations that reproduce the subject, and on those that do not."""
    claim = _CLAIMS[explanation.verdict].format(
        "this mistake" if len(explanation.deviations) == 1 else "these mistakes"
    )
    table = _labelled_lines()
    for ids in explanation.deviations:
        for number, name in enumerate(ids):
            deviation = catalogue[name]
            table.add_row("mistake" if number == 0 else "or", f"[bold]{name}[/bold]: {escape(deviation.description)}")
            table.add_row("  remedy", f"[green]{escape(deviation.remedy)}[/]")
            table.add_row("  source", f"[dim]{escape(deviation.source)}[/]")
        if len(ids) > 1:
            table.add_row("", "[italic]these give the same values here and cannot be told apart[/]")
    if explanation.verdict == "partly explained":
        table.add_row("still diverges", _remaining_divergence(explanation))
    if explanation.verdict in ("not explained", "partly explained"):
        for label, text in _ruled_out(explanation.ruled_out):
            table.add_row(label, text)
    if result.reproduced is not None and explanation.deviations:
        n_reproduced, n_runs = result.reproduced
        table.add_row("reproduced", f"{n_reproduced:,} of {_runs(n_runs)}")
    time_up = "" if explanation.exhausted else "; the time limit ended the search (--seconds raises it)"
    table.add_row("search", f"{explanation.n_trials:,} runs of CustomPPO in {explanation.seconds:.0f} s{time_up}")
    return [Text.from_markup(f"[bold]Explanation: {explanation.verdict}[/bold] ({claim})"), table, Text()]


def _remaining_divergence(explanation: Explanation) -> str:
    place = min(score.beyond_rounding for score in explanation.scores)
    minibatch = f", minibatch {place.minibatch} of the update" if place.minibatch else ""
    return f"{place.quantity}, step {place.step} of training{minibatch}"


def _ruled_out(found: RuledOut) -> Iterable[tuple[str, str]]:
    """Yield labelled lines on the deviations that do not explain the divergence; only the closest ones are named."""
    if found.here:
        yield "ruled out", f"mistakes that give another value: {', '.join(found.here)}"
    if found.earlier:
        yield "ruled out", f"{len(found.earlier)} mistakes that change an earlier value, on which both sides agree"
    if found.untestable:
        yield "not tested", f"{len(found.untestable)} mistakes without effect up to this divergence (--json lists them)"


def _verdict(result: Crosscheck) -> RenderableType:
    """Return the last line: the verdict, and how much was compared."""
    counts = Counter(run.verdict for run in result.runs)
    runs = _runs(len(result.runs))
    if result.verdict == "identical":
        n_arrays = sum(run.n_compared for run in result.runs)
        n_steps = sum(run.n_minibatches for run in result.runs)
        text = f"[bold green]identical[/]: every bit of {n_arrays:,} arrays and {n_steps:,} optimiser steps in {runs}"
    elif result.verdict == "rounding":
        text = f"[bold yellow]equal up to rounding[/] in {runs}, {counts['identical']} of them identical"
    else:
        text = f"[bold red]different[/] in {counts['different']} of {runs}"
    return Text.from_markup(f"{text} ({result.seconds:.0f} s)")


def _second_cross_check(
    result: Crosscheck, run: RunResult | None, catalogue: Mapping[str, Deviation]
) -> list[RenderableType]:
    """Return the cross-check from the reference's initial weights, or the reason why there is none."""
    if result.from_same_weights is not None:
        title = "\n[bold]Cross-check from the reference's initial weights[/bold] (as with --copy-weights)"
        return [Text.from_markup(title), as_text(result.from_same_weights, catalogue)]
    if result.from_same_weights_error:
        error = result.from_same_weights_error
        return [Text(f"no cross-check from the reference's initial weights: {error}", style="dim")]
    if run is not None and result.explanation is None and _starts_apart(run):
        hint = "--copy-weights starts from the reference's initial weights, --explain searches for the mistake"
        return [Text(hint, style="dim")]
    return []


def _starts_apart(run: RunResult) -> bool:
    """Return True if the initial weights already differ."""
    return run.first_beyond_rounding is not None and run.first_beyond_rounding.quantity == "initial_parameters"


def _runs(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"


def _indented(text: str) -> RenderableType:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))


def _labelled_lines() -> Table:
    """Return an empty table of labels and texts; long texts are folded, never cut off."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    return table
