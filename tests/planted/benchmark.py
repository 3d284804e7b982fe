"""Does the cross-check find the bugs that were planted, and does it call them by their names?

    python -m tests.planted.benchmark                     every bug planted into SB3's source
    python -m tests.planted.benchmark --subjects standalone   those of a PPO that shares nothing with SB3
    python -m tests.planted.benchmark --subjects equivalents  what is right, and must not be named
    python -m tests.planted.benchmark --pairs 30 --triples 10 two and three bugs at once, drawn at random
    python -m tests.planted.benchmark --only adam_eps_1e-8 value_loss_halved+entropy_sign
    python -m tests.planted.benchmark --sample 20 --record FILE --markdown FILE  some, kept for a table

It takes seconds a bug where only the place is looked for (--locate), and up to --seconds more for the name.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.crosscheck.api import Crosscheck, crosscheck
from harness.crosscheck.profiles import Profile
from harness.crosscheck.quantities import ORDER
from harness.errors import HarnessError
from tests.planted.subjects import equivalents, mutants, mutation, standalone_bugs
from tests.planted.subjects.training import CASES

__all__ = ["Outcome", "Planted", "checked", "combinations", "outcome", "singles", "totals"]

VERDICTS = ("identical", "rounding", "different")


@dataclass(frozen=True)
class Planted:
    """One subject, and what is known of it."""

    name: str
    """Ids of its bugs, joined by "+"."""
    module: str
    stages: tuple[str, ...]
    """For each bug the first quantity that must differ."""
    deviations: tuple[str | None, ...]
    """For each bug its name in the catalogue, if it has one."""
    worlds: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    reference: str = "ppo"
    verdict: str = "different"
    """One of `VERDICTS`; an equivalent may come out as anything up to it."""

    @property
    def profile(self) -> Profile:
        """The stress profile in its worlds, with its settings."""
        cases = (CASES[world] for world in self.worlds)
        changed = (dataclasses.replace(case, settings={**case.settings, **self.settings}) for case in cases)
        return Profile("stress", "the worlds in which it shows", tuple(changed))


@dataclass(frozen=True)
class Outcome:
    """What the cross-check said of it."""

    planted: Planted
    found_at: str
    """The first quantity that differs (beyond rounding, where one does)."""
    faults: tuple[str, ...]
    """Quantities that differ even when everything before is put right."""
    named: tuple[tuple[str, ...], ...]
    """Deviations of the explanation, each with those that cannot be told from it."""
    explanation: str
    """Its verdict, or "" where none was asked for."""
    verdict: str
    seconds: float
    iteration: int = 1
    """Of the first difference."""
    trouble: str = ""
    """The error that the cross-check itself ended with."""

    @property
    def place(self) -> str:
        """Where the first difference is: "at" the quantity of a bug, "later", or "before" all, which is wrong.

        Of a subject that keeps its numbers to itself, a bug can only be seen later. Of an equivalent it is "at" where
        the verdict is no worse than it should be.
        """
        if not self.planted.stages:
            right = VERDICTS.index(self.verdict) <= VERDICTS.index(self.planted.verdict)
            return "at" if right else "before"
        if self.found_at in self.planted.stages:
            return "at"
        first = min(ORDER[stage] for stage in self.planted.stages)
        later = self.iteration > 1 or ORDER.get(self.found_at, -1) > first
        return "later" if later and self.verdict != "identical" else "before"

    @property
    def verdict_right(self) -> bool:
        """Whether the verdict is as it should be."""
        return self.verdict == self.planted.verdict or (not self.planted.stages and self.located)

    @property
    def located(self) -> bool:
        """Whether the place is as it should be."""
        return self.place == "at" or (self.place == "later" and self.planted.module == standalone_bugs.MODULE)

    @property
    def isolated(self) -> bool:
        """Whether every bug's quantity is among those that are said to be wrong by themselves."""
        return set(self.planted.stages) <= {self.found_at, *self.faults}

    @property
    def rightly_named(self) -> bool | None:
        """Whether the explanation is these deviations and no others; None where the catalogue lacks one.

        An equivalent need not be explained: the catalogue has some of the ways in which people write the same.
        """
        wanted = self.planted.deviations
        if not self.explanation or None in wanted:
            return None
        if not self.planted.stages and not self.named:
            return True
        return len(wanted) == len(self.named) and any(
            all(name in group for name, group in zip(order, self.named, strict=True))
            for order in itertools.permutations(wanted)
        )


def singles(subjects: str) -> list[Planted]:
    """Every bug (or equivalent) of a kind of subject: "sb3", "standalone" or "equivalents"."""
    match subjects:
        case "sb3":
            return [_of_mutants([mutant]) for mutant in mutants.MUTANTS.values()]
        case "standalone":
            return [_of_bugs([bug]) for bug in standalone_bugs.BUGS.values()]
        case _:
            return [
                Planted(
                    name,
                    equivalents.MODULE,
                    (),
                    () if equivalent.deviation is None else (equivalent.deviation,),
                    tuple(CASES),
                    verdict=_at_most(equivalent.verdict),
                )
                for name, equivalent in equivalents.EQUIVALENTS.items()
            ]


def combinations(subjects: str, size: int, count: int, seed: int = 0) -> list[Planted]:
    """Bugs at random, several in one subject; only such as the catalogue has names for and as can go together."""
    rng = random.Random(f"{subjects} {size} {seed}")
    make: Callable[[Sequence[Any]], Planted] = _of_mutants if subjects == "sb3" else _of_bugs
    fit: Callable[[Sequence[Any]], bool] = mutation.compatible if subjects == "sb3" else standalone_bugs.compatible
    pool: list[Any] = [*mutants.MUTANTS.values()] if subjects == "sb3" else [*standalone_bugs.BUGS.values()]
    pool = [bug for bug in pool if bug.deviation is not None and not getattr(bug, "settings", {})]
    pool = [bug for bug in pool if not getattr(bug, "rounding", False)]  # beside another it cannot be told from noise
    found: dict[str, Planted] = {}
    while len(found) < count:
        chosen = rng.sample(pool, size)
        if fit(chosen):
            planted = make(chosen)
            found.setdefault("+".join(sorted(planted.name.split("+"))), planted)
    return list(found.values())


def _of_mutants(chosen: Sequence[mutation.Mutant]) -> Planted:
    return Planted(
        "+".join(mutant.name for mutant in chosen),
        mutants.MODULE,
        tuple(mutant.stage for mutant in chosen),
        tuple(mutant.deviation for mutant in chosen),
        tuple(dict.fromkeys(mutant.world for mutant in chosen)),
        settings={name: value for mutant in chosen for name, value in mutant.settings.items()},
        reference="a2c" if chosen[0].algorithm == "A2C" else "ppo",
        verdict="rounding" if all(mutant.rounding for mutant in chosen) else "different",
    )


def _of_bugs(chosen: Sequence[standalone_bugs.Bug]) -> Planted:
    return Planted(
        "+".join(bug.name for bug in chosen),
        standalone_bugs.MODULE,
        tuple(bug.stage for bug in chosen),
        tuple(bug.deviation for bug in chosen),
        tuple(dict.fromkeys(bug.world for bug in chosen)),
    )


def _at_most(verdict: str) -> str:
    """What a cross-check can say of an equivalent: a number on which nothing depends differs, too."""
    return {"identical weights": "rounding"}.get(verdict, verdict)


def by_name(subjects: str, name: str) -> Planted:
    """A bug, or several joined by "+"; raises KeyError."""
    if subjects == "sb3":
        return _of_mutants([mutants.MUTANTS[one] for one in name.split("+")])
    if subjects == "standalone":
        return _of_bugs([standalone_bugs.BUGS[one] for one in name.split("+")])
    return {planted.name: planted for planted in singles(subjects)}[name]


def checked(planted: Planted, *, seconds: float, locate: bool = False, seeds: Sequence[int] = (0,)) -> Outcome:
    """Run the cross-check on it; seconds: for the explanation."""
    started = time.monotonic()
    try:
        result = crosscheck(
            f"{planted.module}:{planted.name}",
            planted.reference,
            profile=planted.profile,
            seeds=seeds,
            explain=not locate,
            seconds=seconds,
        )
    except HarnessError as error:
        return Outcome(planted, "", (), (), "", "", time.monotonic() - started, trouble=str(error))
    return outcome(planted, result)


def outcome(planted: Planted, result: Crosscheck) -> Outcome:
    """What of the answer is compared with what is known."""
    parted = [run for run in result.runs if run.verdict == result.verdict and run.first is not None]
    first = parted[0].first_beyond_rounding or parted[0].first if parted else None
    explanation = result.explanation
    return Outcome(
        planted,
        "" if first is None else first.quantity,
        tuple(dict.fromkeys(fault.quantity for run in result.runs for fault in run.faults)),
        () if explanation is None else explanation.deviations,
        "" if explanation is None else explanation.verdict,
        result.verdict,
        result.seconds,
        iteration=1 if first is None else first.iteration,
    )


def _row(found: Outcome) -> str:
    planted = found.planted
    if found.trouble:
        return f"{planted.name:55}  the cross-check failed: {found.trouble}"
    right = {True: "right", False: "WRONG", None: "-"}[found.rightly_named]
    named = " and ".join(" or ".join(group) for group in found.named) or "-"
    return (
        f"{planted.name:55}  {found.found_at or '-':20}  {'+'.join(planted.stages) or '-':20}  "
        f"{found.place if found.located else found.place.upper():6}  {found.verdict:9}  {right:5}  {named}"
        f"{f' ({found.explanation})' if found.explanation else ''}  {found.seconds:.0f} s"
    )


def totals(found: Sequence[Outcome]) -> Iterator[str]:
    usable = [one for one in found if not one.trouble]
    yield f"{len(found)} subjects, {len(found) - len(usable)} not checked, {sum(one.seconds for one in found):.0f} s"
    yield f"found: {sum(one.verdict_right for one in usable)} with the verdict they should have"
    places = Counter(one.place for one in usable)
    yield f"first difference at the expected quantity: {places['at']}, " + (
        f"later: {places['later']}, before: {places['before']}"
    )
    yield f"every bug isolated with right inputs: {sum(one.isolated for one in usable)}"
    named = Counter(one.rightly_named for one in usable)
    if named[True] or named[False]:
        yield f"in the catalogue: {named[True]} rightly named, {named[False]} not"
    unlisted = [one for one in usable if one.explanation and None in one.planted.deviations]
    if unlisted:
        wrongly = [one.planted.name for one in unlisted if one.explanation == "explained exactly"]
        yield f"in no catalogue: {len(unlisted)}; explained exactly all the same: {', '.join(wrongly) or 'none'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The table; 1 if something was not located or wrongly named."""
    from tests.planted import published  # which imports this module

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", choices=["sb3", "standalone", "equivalents"], default="sb3")
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--triples", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], metavar="ID")
    parser.add_argument(
        "--listed", choices=["yes", "no"], help="only bugs that the catalogue names, or only the others"
    )
    parser.add_argument("--locate", action="store_true", help="do not search for causes")
    parser.add_argument("--all-worlds", action="store_true", help="the whole stress profile for every subject")
    parser.add_argument("--seconds", type=float, default=60.0, help="for one explanation")
    parser.add_argument("--seed", type=int, default=0, help="of the random pairs and triples, and of the sample")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, drawn at random")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="keep every row there, and do not repeat those it has"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of all rows of the record, too")
    args = parser.parse_args(arguments)
    if args.only:
        chosen = [by_name(args.subjects, name) for name in args.only]
    elif args.pairs or args.triples:
        sizes = ((2, args.pairs), (3, args.triples))
        chosen = [one for size, count in sizes for one in combinations(args.subjects, size, count, args.seed)]
    else:
        chosen = singles(args.subjects)
    if args.listed:
        chosen = [one for one in chosen if (None not in one.deviations) == (args.listed == "yes")]
    if args.all_worlds:
        chosen = [dataclasses.replace(one, worlds=tuple(CASES)) for one in chosen]
    if args.sample is not None and args.sample < len(chosen):
        drawn = random.Random(args.seed).sample(range(len(chosen)), args.sample)
        chosen = [chosen[index] for index in sorted(drawn)]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    earlier = [] if args.record is None else published.read(args.record)
    done = {(one.planted.module, one.planted.name) for one in earlier}
    found = []
    print(f"{'planted':55}  {'found at':20}  {'expected at':20}  {'':6}  {'verdict':9}  {'name':5}  named as")
    for planted in chosen:
        if (planted.module, planted.name) in done:
            continue
        found.append(checked(planted, seconds=args.seconds, locate=args.locate))
        print(_row(found[-1]), flush=True)
        if args.record is not None:
            published.append(args.record, found[-1])
    print(*totals(found), sep="\n")
    if args.record is not None and found:
        published.append_command(args.record, sys.argv[1:] if arguments is None else arguments)
    if args.markdown is not None:
        alarms = [] if args.record is None else published.read_alarms(args.record)
        page = published.as_markdown(
            [*earlier, *found], alarms, published.commits(args.record), published.commands(args.record)
        )
        args.markdown.write_text(page, encoding="utf-8")
    return int(any(one.trouble or not one.located or one.rightly_named is False for one in found))


if __name__ == "__main__":
    sys.exit(main())
