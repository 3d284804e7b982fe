"""Rule and plan of an experiment as they were before its first run, and what was changed since.

`rule.json` beside `experiment.yml` is a list to which `harness compare` adds an entry whenever the rule or the plan is
not that of the last one; no entry is ever changed. `experiment.yml` is written anew each time, and cannot tell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.config import ExperimentConfig, StatisticsConfig
from harness.errors import RecordError
from harness.experiment.plan import plan
from harness.experiment.run_records import write_text_atomically

__all__ = ["RULE_NAME", "Declaration", "RuleHistory", "declare", "rule_history"]

RULE_NAME = "rule.json"
"""File in the folder of an experiment that records the rule of judgement and its changes."""


@dataclass(frozen=True)
class Declaration:
    """Rule of judgement and plan of an experiment at one time."""

    declared: str
    """Time in UTC, ISO 8601."""
    n_begun: int
    """Number of runs that had been begun by then: 0 if the rule was declared before all of them."""
    statistics: Mapping[str, Any]
    """Fields of `StatisticsConfig` as plain JSON data: confidence, margin, references, baseline, looks, ..."""
    plan: Mapping[str, str]
    """Label of each planned run -> digest of its settings."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of statistics and plan as canonical JSON."""
        text = json.dumps({"plan": self.plan, "statistics": self.statistics}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class RuleHistory:
    """Rule under which results are judged, and what is known of its past."""

    digest: str
    """SHA-256 of the rule of judgement and the plan in force."""
    sentence: str
    """Statement about its past, for the report."""
    changes: tuple[str, ...] = ()
    """Differences from the rule before the first run: "confidence is 0.9, was 0.95"."""


def declare(config: ExperimentConfig, folder: Path, n_begun: int) -> None:
    """Add the rule and plan of an experiment to its `rule.json` if they are not the last entry there.

    n_begun: number of runs that were begun already. Raises RecordError for a damaged file, OSError.
    """
    now = _declaration(config, datetime.now(UTC).isoformat(timespec="seconds"), n_begun)
    before = _read(folder)
    if not before or before[-1].digest != now.digest:
        entries = [asdict(one) | {"digest": one.digest} for one in (*before, now)]
        write_text_atomically(folder / RULE_NAME, json.dumps(entries, indent=1, allow_nan=True) + "\n")


def rule_history(config: ExperimentConfig, folder: Path) -> RuleHistory:
    """Return the rule of an experiment, and what `rule.json` in its folder says about its past."""
    now = _declaration(config, "", 0)
    try:
        entries = _read(folder)
    except RecordError:
        return RuleHistory(now.digest, f"not known: {RULE_NAME} is damaged")
    if not entries:
        return RuleHistory(now.digest, f"not known: there is no {RULE_NAME}, in which newer experiments record it")
    first = entries[0]
    changes = tuple(_changes(first, now))
    if first.n_begun:
        since = f"not known before {_minute(first)}, when {first.n_begun} runs had begun already"
        return RuleHistory(now.digest, f"{since}; {_told(changes)}", changes)
    if changes:
        return RuleHistory(
            now.digest, f"declared before the first run ({_minute(first)}), and {_told(changes)}", changes
        )
    between = len({one.digest for one in entries} - {first.digest})
    again = f", with {between} other version{'s' if between > 1 else ''} in between" if between else ""
    return RuleHistory(now.digest, f"unchanged since before the first run ({_minute(first)}){again}")


def _declaration(config: ExperimentConfig, declared: str, n_begun: int) -> Declaration:
    # Through JSON and back, so that a rule that was read equals one that was not: tuples become lists.
    statistics = json.loads(json.dumps(asdict(config.statistics)))
    return Declaration(declared, n_begun, statistics, {spec.label: spec.digest for spec in plan(config)})


def _read(folder: Path) -> list[Declaration]:
    path = folder / RULE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        names = [one.name for one in fields(Declaration)]
        entries = [Declaration(**{name: entry[name] for name in names}) for entry in data]
        if any(entry["digest"] != one.digest for entry, one in zip(data, entries, strict=True)):
            raise ValueError("a digest is wrong")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: cannot be read ({error}); move it away to record the rule anew") from error
    return entries


def _changes(before: Declaration, now: Declaration) -> Iterator[str]:
    # A field that did not exist then had its default, as nothing else was possible.
    defaults = json.loads(json.dumps(asdict(StatisticsConfig())))
    for name, value in now.statistics.items():
        was = before.statistics.get(name, defaults.get(name))
        if value != was:
            yield f"{name} is {_short(value)}, was {_short(was)}"
    added, removed = now.plan.keys() - before.plan.keys(), before.plan.keys() - now.plan.keys()
    other = [label for label in now.plan.keys() & before.plan.keys() if now.plan[label] != before.plan[label]]
    for labels, verb in ((added, "added to"), (removed, "removed from")):
        if labels:
            yield f"{_some(sorted(labels))} {verb} the plan"
    if other:
        yield f"{_some(sorted(other))} with other settings"


def _some(labels: list[str]) -> str:
    named = ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")
    return f"{len(labels)} run{'s' if len(labels) != 1 else ''} ({named})"


def _told(changes: tuple[str, ...]) -> str:
    return f"changed since: {'; '.join(changes)}" if changes else "unchanged since"


def _minute(one: Declaration) -> str:
    return one.declared[:16].replace("T", " ") + " UTC"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
