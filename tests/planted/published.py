"""What was found of planted bugs, kept row by row, and the tables that are published of it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.planted.benchmark import Outcome, Planted, singles, totals
from tests.planted.reasons import REASONS
from tests.planted.subjects import equivalents, mutants, standalone_bugs

__all__ = ["append", "append_command", "as_markdown", "commands", "commits", "read", "read_alarms"]

PACKAGES = ("torch", "stable_baselines3", "gymnasium", "numpy")
KINDS: Mapping[str, str] = {
    mutants.MODULE: "Bugs in SB3's own source",
    standalone_bugs.MODULE: "Bugs in a PPO that shares nothing with SB3",
    equivalents.MODULE: "Right implementations that look different",
}
SUBJECTS = ("sb3", "standalone", "equivalents")
SIZES = ("", ", two at once", ", three at once")


def append(file: Path, outcome: Outcome) -> None:
    """Keep one row."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"commit": _commit(), **dataclasses.asdict(outcome)}) + "\n")


def append_command(file: Path, arguments: Sequence[str]) -> None:
    """Keep what was run, for the page to say so."""
    kept = [one for one in arguments if one not in ("--record", "--markdown")]
    kept = [one for one in kept if not one.endswith((".jsonl", ".md"))]
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"ran": f"planted {' '.join(kept)}".strip()}) + "\n")


def commands(file: Path | None) -> list[str]:
    """What was run."""
    return [] if file is None else list(dict.fromkeys(row["ran"] for row in _rows(file, "ran")))


def read(file: Path) -> list[Outcome]:
    """All rows that were kept, none if there is no file; of what was checked twice the last."""
    return list({(one.planted.module, one.planted.name): one for one in map(_outcome, _rows(file, "planted"))}.values())


def read_alarms(file: Path) -> list[dict[str, Any]]:
    """What became of runs in which nothing was planted: see `alarms`."""
    return list(_rows(file, "options"))


def _rows(file: Path, key: str) -> Iterator[dict[str, Any]]:
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if key in row:
                yield row


def _outcome(row: Mapping[str, Any]) -> Outcome:
    known = {name: value for name, value in row.items() if name != "commit"}
    planted = {name: tuple(value) if isinstance(value, list) else value for name, value in row["planted"].items()}
    named = tuple(map(tuple, row["named"]))
    return Outcome(**{**known, "planted": Planted(**planted), "faults": tuple(row["faults"]), "named": named})


def as_markdown(
    outcomes: Sequence[Outcome],
    alarms: Sequence[Mapping[str, Any]],
    of: Sequence[str] = (),
    ran: Sequence[str] = (),
) -> str:
    """The published page. of: commits of the rows. ran: the commands."""
    lines = ["# What the cross-check finds, and what it calls it", ""]
    groups = _groups(outcomes)
    lines += _summary(groups)
    if ran:
        lines += ["Run in this order; `--sample` draws at random, and what was checked is not checked again:", ""]
        lines += [*(f"- `{command}`" for command in ran), ""]
    if alarms:
        lines += _false_alarms(alarms)
    lines += _misses(outcomes)
    for title, group in groups.items():
        lines += [f"## {title}", "", *totals_as_list(group), "", *_table(group), ""]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    at = f" Commits of the code that was run: {', '.join(dict.fromkeys(of))}." if of else ""
    lines.append(f"{datetime.now(UTC):%Y-%m-%d}, one thread; Python {platform.python_version()}, {versions}.{at}")
    return "\n".join(lines) + "\n"


def _groups(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """By kind, by number of bugs, and by whether the catalogue has names for them."""
    groups: dict[str, list[Outcome]] = {}
    for module, kind in KINDS.items():
        for size, several in enumerate(SIZES, 1):
            for unlisted in (False, True):
                mine = [
                    one
                    for one in outcomes
                    if one.planted.module == module
                    and one.planted.name.count("+") + 1 == size
                    and (None in one.planted.deviations) == unlisted
                ]
                if mine:
                    groups[f"{kind}{several}{', in no catalogue' if unlisted else ''}"] = mine
    return groups


def _summary(groups: Mapping[str, Sequence[Outcome]]) -> list[str]:
    lines = [
        "| what | checked | of | verdict as it should be | place as it should be | named rightly | named falsely |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    known = _groups([Outcome(one, "", (), (), "", "", 0.0) for kind in SUBJECTS for one in singles(kind)])
    for title, group in groups.items():
        usable = [one for one in group if not one.trouble]
        names = Counter(one.rightly_named for one in usable)
        falsely = sum(falsely_named(one) for one in usable)
        right = "–" if names[True] + names[False] == 0 else f"{names[True]} of {names[True] + names[False]}"
        there_are = len(known[title]) if title in known else "–"
        verdicts, places = sum(one.verdict_right for one in usable), sum(one.located for one in usable)
        lines.append(f"| {title} | {len(group)} | {there_are} | {verdicts} | {places} | {right} | {falsely} |")
    return [*lines, ""]


def falsely_named(one: Outcome) -> bool:
    """Whether a deviation is named that it does not have; where the search says itself that more is left, too."""
    wanted = set(one.planted.deviations)
    return any(not wanted & set(group) for group in one.named)


def _false_alarms(alarms: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["## False alarms", "", "Nothing is planted; all worlds of the stress profile.", ""]
    lines += ["| subject | beside | options | runs | identical | rounding | different | seconds |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in alarms:
        counts = [row["verdicts"].get(verdict, 0) for verdict in ("identical", "rounding", "different")]
        cells = [row["subject"], row["reference"], row["options"] or "–", sum(counts), *counts, f"{row['seconds']:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def _misses(outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for one in outcomes:
        wrong = []
        if one.trouble:
            wrong.append(f"not checked: {one.trouble}")
        else:
            if not one.verdict_right:
                wrong.append(f"verdict {one.verdict}")
            if not one.located:
                wrong.append(f"found at {one.found_at or 'nothing'}")
            if one.rightly_named is False or falsely_named(one):
                wrong.append(f"called {named(one)} ({one.explanation})")
        if wrong:
            reason = REASONS.get(one.planted.name, "not looked into yet")
            lines.append(f"- `{one.planted.name}`: {'; '.join(wrong)}. {reason}")
    return ["## Every miss", "", *(lines or ["None."]), ""]


def totals_as_list(group: Sequence[Outcome]) -> list[str]:
    """The totals as the terminal has them."""
    return [f"- {line}" for line in totals(group)]


def named(one: Outcome) -> str:
    """The explanation in a line."""
    return " and ".join(" or ".join(group) for group in one.named) or "nothing"


def _table(group: Sequence[Outcome]) -> list[str]:
    lines = ["| planted | found at | expected at | verdict | named as | | seconds |", "|---|---|---|---|---|---|---|"]
    for one in group:
        mark = {True: "right", False: "**wrong**", None: ""}[one.rightly_named]
        found = one.found_at or "–"
        cells = [
            f"`{one.planted.name}`",
            found if one.located else f"**{found}**",
            " + ".join(one.planted.stages) or "–",
            one.verdict,
            f"{named(one)} ({one.explanation})" if one.explanation else "–",
            mark,
            f"{one.seconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def commits(file: Path | None) -> list[str]:
    """Of the rows of a record."""
    return [] if file is None else [row["commit"] for row in _rows(file, "commit")]
