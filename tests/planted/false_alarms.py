"""Count the cross-check's verdicts on a correct implementation: anything but "identical" is a false alarm."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.crosscheck.api import crosscheck
from tests.planted import records

__all__ = ["main"]

EXAMPLES = """examples:
  python -m tests.planted.false_alarms --subject custom_ppo --seeds 25 --record results.jsonl
  python -m tests.planted.false_alarms --subject custom_a2c --reference a2c --seeds 10 --threads 2 --copy-weights
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how many runs have each verdict, and return 1 if one is "different"."""
    args = _parser().parse_args(arguments)
    warnings.simplefilter("ignore")
    result = crosscheck(
        args.subject,
        args.reference,
        seeds=range(args.seeds),
        threads=args.threads,
        copy_weights=args.copy_weights,
    )
    verdicts = Counter(run.verdict for run in result.runs)
    options = [f"--threads {args.threads}"] if args.threads > 1 else []
    options += ["--copy-weights"] if args.copy_weights else []
    row = {
        "subject": args.subject.rpartition(":")[2],
        "reference": args.reference,
        "options": " ".join(options),
        "verdicts": verdicts,
        "seconds": result.seconds,
    }
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    title = " ".join([args.subject, "against", args.reference, *options])
    print(f"{title}: {counts} ({result.seconds:.0f} s)")
    for run in result.runs:
        if run.verdict != "identical" and run.first is not None:
            print(f"  {run.env}, seed {run.seed}: {run.verdict}, first {run.first.quantity} {run.first.where}")
    if args.record is not None:
        records.append_row(args.record, row)
    return int(verdicts["different"] > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.planted.false_alarms",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--subject", default="custom_ppo", help="a correct implementation: a registered name or package.module:Class"
    )
    parser.add_argument("--reference", default="ppo", help="algorithm that it is compared with: ppo or a2c")
    parser.add_argument("--seeds", type=int, default=25, metavar="N", help="seeds 0 to N - 1 (default 25)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of torch (default 1)")
    parser.add_argument("--copy-weights", action="store_true", help="start the subject with the reference's weights")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="append the counts to FILE, for the benchmark's --markdown"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
