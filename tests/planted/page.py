"""Markdown page of the benchmark's results: results/published/crosscheck.md."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.planted.known_misses import REASONS
from tests.planted.outcomes import VERDICTS, Outcome, totals
from tests.planted.selection import KINDS, singles
from tests.planted.subjects import equivalents, mutants, standalone_bugs

__all__ = ["as_markdown"]

PACKAGES = ("torch", "stable_baselines3", "gymnasium", "numpy")
TITLES: Mapping[str, str] = {
    mutants.MODULE: "Bugs in SB3's own source",
    standalone_bugs.MODULE: "Bugs in a PPO that shares no code with SB3",
    equivalents.MODULE: "Correct implementations that look different",
}
"""Module of the subjects -> title of their table."""
SIZES = ("", ", two at once", ", three at once")
MARKS = {True: "right", False: "**wrong**", None: ""}


def as_markdown(
    outcomes: Sequence[Outcome],
    alarms: Sequence[Mapping[str, Any]],
    commits: Sequence[str] = (),
    commands: Sequence[str] = (),
) -> str:
    """Return the page: a summary, false alarms, every miss with its reason, and a table for each kind of subjects.

    alarms: rows of `false_alarms`. commits, commands: those of the recorded outcomes, for the page to name.
    """
    lines = ["# Planted bugs: where the cross-check finds them, and the names that it gives them", ""]
    groups = _groups(outcomes)
    lines += _summary(groups)
    if commands:
        lines += [
            "Commands, in this order; `--sample` draws at random, and recorded subjects are not checked again:",
            "",
        ]
        lines += [*(f"- `{command}`" for command in commands), ""]
    if alarms:
        lines += _false_alarms(alarms)
    lines += _misses(outcomes)
    for title, group in groups.items():
        lines += [f"## {title}", "", *(f"- {line}" for line in totals(group)), "", *_table(group), ""]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    code = f" Commits of the code that was run: {', '.join(dict.fromkeys(commits))}." if commits else ""
    lines.append(f"{datetime.now(UTC):%Y-%m-%d}, one thread; Python {platform.python_version()}, {versions}.{code}")
    return "\n".join(lines) + "\n"


def _groups(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Return title -> outcomes, grouped by kind of subject, number of bugs, and presence in the catalogue."""
    groups: dict[str, list[Outcome]] = {}
    for module, kind in TITLES.items():
        for size, several in enumerate(SIZES, 1):
            for unlisted in (False, True):
                members = [
                    one
                    for one in outcomes
                    if one.planted.module == module
                    and one.planted.name.count("+") + 1 == size
                    and (None in one.planted.deviations) == unlisted
                ]
                if members:
                    groups[f"{kind}{several}{', not in the catalogue' if unlisted else ''}"] = members
    return groups


def _summary(groups: Mapping[str, Sequence[Outcome]]) -> list[str]:
    lines = ["| subjects | checked | of | verdict as expected | place as expected | named rightly | named falsely |"]
    lines.append("|---|---|---|---|---|---|---|")
    existing = _groups([Outcome(one, "", (), (), "", "", 0.0) for kind in KINDS for one in singles(kind)])
    for title, group in groups.items():
        finished = [one for one in group if not one.error]
        names = Counter(one.rightly_named for one in finished)
        judged = names[True] + names[False]
        cells = [
            title,
            len(group),
            len(existing[title]) if title in existing else "–",  # of combinations there is no fixed number
            sum(one.verdict_right for one in finished),
            sum(one.located for one in finished),
            f"{names[True]} of {judged}" if judged else "–",
            sum(one.falsely_named for one in finished),
        ]
        lines.append(_row(cells))
    return [*lines, ""]


def _false_alarms(alarms: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["## False alarms", "", "No bug is planted; all environments of the stress profile.", ""]
    lines += ["| subject | reference | options | runs | identical | rounding | different | seconds |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in alarms:
        counts = [row["verdicts"].get(verdict, 0) for verdict in VERDICTS]
        options = row["options"] or "–"
        lines.append(_row([row["subject"], row["reference"], options, sum(counts), *counts, f"{row['seconds']:.0f}"]))
    return [*lines, ""]


def _misses(outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for one in outcomes:
        wrong = []
        if one.error:
            wrong.append(f"not checked: {one.error}")
        else:
            if not one.verdict_right:
                wrong.append(f"verdict {one.verdict}")
            if not one.located:
                wrong.append(f"found at {one.found_at or 'nothing'}")
            if one.rightly_named is False or one.falsely_named:
                wrong.append(f"named {one.explanation or 'nothing'} ({one.explanation_verdict})")
        if wrong:
            reason = REASONS.get(one.planted.name, "Not explained yet.")
            lines.append(f"- `{one.planted.name}`: {'; '.join(wrong)}. {reason}")
    return ["## Every miss", "", *(lines or ["None."]), ""]


def _table(group: Sequence[Outcome]) -> list[str]:
    lines = ["| planted | found at | expected at | verdict | named | | seconds |", "|---|---|---|---|---|---|---|"]
    for one in group:
        found = one.found_at or "–"
        cells = [
            f"`{one.planted.name}`",
            found if one.located else f"**{found}**",
            " + ".join(one.planted.expected_at) or "–",
            one.verdict,
            f"{one.explanation or 'nothing'} ({one.explanation_verdict})" if one.explanation_verdict else "–",
            MARKS[one.rightly_named],
            f"{one.seconds:.0f}",
        ]
        lines.append(_row(cells))
    return lines


def _row(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
