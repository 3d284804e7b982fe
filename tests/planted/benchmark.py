"""Plant known bugs, run the cross-check on each, and count how often it finds the place and the name of the bug.

Each subject takes seconds with --locate, which looks for the first divergence only, and else up to --seconds more, in
which the cross-check searches for an explanation.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from harness.crosscheck.api import crosscheck
from harness.errors import HarnessError
from tests.planted import records
from tests.planted.outcomes import Outcome, outcome_of, totals
from tests.planted.page import as_markdown
from tests.planted.selection import KINDS, Planted, combinations, named, singles
from tests.planted.subjects.training import CASES

__all__ = ["check", "main"]

EXAMPLES = """examples:
  python -m tests.planted.benchmark                              every bug planted in SB3's source
  python -m tests.planted.benchmark --subjects standalone        bugs in a PPO that shares no code with SB3
  python -m tests.planted.benchmark --subjects equivalents       correct implementations, not to be reported
  python -m tests.planted.benchmark --pairs 30 --triples 10      two and three bugs at once, drawn at random
  python -m tests.planted.benchmark --only adam_eps_1e-8 value_loss_halved+entropy_sign
  python -m tests.planted.benchmark --sample 20 --record results.jsonl --markdown page.md
"""


def check(planted: Planted, *, seconds: float, locate: bool = False, seeds: Sequence[int] = (0,)) -> Outcome:
    """Run the cross-check on a subject; seconds: limit of the search for an explanation, which `locate` skips."""
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
        return Outcome(planted, "", (), (), "", "", time.monotonic() - started, error=str(error))
    return outcome_of(planted, result)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of subjects and their totals, and return 1 if one was not located or was named wrongly."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if (args.pairs or args.triples) and args.subjects == "equivalents":
        parser.error("--pairs and --triples combine bugs, and equivalents have none")
    if min(args.pairs, args.triples, args.sample or 0) < 0:
        parser.error("--pairs, --triples and --sample are counts, expected at least 0")
    for file in (args.record, args.markdown):
        if file is not None and not file.absolute().parent.is_dir():
            parser.error(f"{file} cannot be written: there is no folder {file.absolute().parent}")
    try:
        chosen = _chosen(args)
        earlier = [] if args.record is None else records.read(args.record)
    except HarnessError as error:
        parser.error(str(error))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    done = {(one.planted.module, one.planted.name) for one in earlier}
    outcomes = []
    print(f"{'planted':55}  {'found at':20}  {'expected at':20}  {'place':6}  {'verdict':9}  {'name':5}  named")
    for planted in chosen:
        if (planted.module, planted.name) in done:
            continue
        outcomes.append(check(planted, seconds=args.seconds, locate=args.locate))
        print(_line(outcomes[-1]), flush=True)
        if args.record is not None:
            records.append(args.record, outcomes[-1])
    print(*totals(outcomes), sep="\n")
    if args.record is not None and outcomes:
        records.append_command(args.record, sys.argv[1:] if arguments is None else arguments)
    if args.markdown is not None:
        alarms = [] if args.record is None else records.read_alarms(args.record)
        commits, commands = records.commits(args.record), records.commands(args.record)
        args.markdown.write_text(as_markdown([*earlier, *outcomes], alarms, commits, commands), encoding="utf-8")
    return int(any(one.error or not one.located or one.rightly_named is False for one in outcomes))


def _chosen(args: argparse.Namespace) -> list[Planted]:
    """Return the subjects that the arguments select."""
    if args.only:
        chosen = [named(args.subjects, name) for name in args.only]
    elif args.pairs or args.triples:
        sizes = ((2, args.pairs), (3, args.triples))
        chosen = [one for size, count in sizes for one in combinations(args.subjects, size, count, args.seed)]
    else:
        chosen = singles(args.subjects)
    if args.listed:
        chosen = [one for one in chosen if (None not in one.deviations) == (args.listed == "yes")]
    if args.all_environments:
        chosen = [dataclasses.replace(one, environments=tuple(CASES)) for one in chosen]
    if args.sample is not None and args.sample < len(chosen):
        drawn = random.Random(args.seed).sample(range(len(chosen)), args.sample)
        chosen = [chosen[index] for index in sorted(drawn)]
    return chosen


def _line(one: Outcome) -> str:
    """Return a line of the table; a place or name that is wrong stands out in capitals."""
    planted = one.planted
    if one.error:
        return f"{planted.name:55}  the cross-check failed: {one.error}"
    right = {True: "right", False: "WRONG", None: "-"}[one.rightly_named]
    return (
        f"{planted.name:55}  {one.found_at or '-':20}  {'+'.join(planted.expected_at) or '-':20}  "
        f"{one.place if one.located else one.place.upper():6}  {one.verdict:9}  {right:5}  {one.explanation or '-'}"
        f"{f' ({one.explanation_verdict})' if one.explanation_verdict else ''}  {one.seconds:.0f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.planted.benchmark",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = parser.add_argument_group("subjects")
    choice.add_argument(
        "--subjects",
        choices=KINDS,
        default="sb3",
        help="bugs in SB3's source (default), bugs in a standalone PPO, or correct implementations",
    )
    choice.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these bugs; a+b plants both at once")
    choice.add_argument("--pairs", type=int, default=0, metavar="N", help="N random pairs of bugs, at once")
    choice.add_argument("--triples", type=int, default=0, metavar="N", help="N random triples of bugs, at once")
    choice.add_argument(
        "--listed", choices=["yes", "no"], help="only bugs that are in the catalogue, or only those that are not"
    )
    choice.add_argument("--sample", type=int, metavar="N", help="only N of the selected subjects, drawn at random")
    choice.add_argument("--seed", type=int, default=0, help="of --sample, --pairs and --triples (default 0)")
    check_group = parser.add_argument_group("cross-check")
    check_group.add_argument("--locate", action="store_true", help="find the first divergence only, do not explain it")
    check_group.add_argument(
        "--seconds", type=float, default=60.0, help="limit of the search for an explanation, per subject (default 60)"
    )
    check_group.add_argument(
        "--all-environments",
        action="store_true",
        help="run the whole stress profile, not only the environments in which the bug makes a difference",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--record", type=Path, metavar="FILE", help="append outcomes to FILE, and skip subjects that it has"
    )
    output.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write a page about all recorded outcomes to FILE"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
