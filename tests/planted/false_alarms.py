"""How often does the cross-check see something where there is nothing?

python -m tests.planted.false_alarms --subject custom_ppo --seeds 25 --record FILE
python -m tests.planted.false_alarms --subject custom_a2c --reference a2c --seeds 10 --threads 2 --copy-weights
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.crosscheck.api import crosscheck

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Counts of verdicts; 1 if a run is different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", default="custom_ppo", help="registered, or package.module:Class")
    parser.add_argument("--reference", default="ppo")
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--copy-weights", action="store_true")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a row there, for planted --markdown")
    args = parser.parse_args(arguments)
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
    print(f"{args.subject} beside {args.reference} {row['options']}: {counts} ({result.seconds:.0f} s)")
    for run in result.runs:
        if run.verdict != "identical" and run.first is not None:
            print(f"  {run.env}, seed {run.seed}: {run.verdict}, first {run.first.quantity} {run.first.where}")
    if args.record is not None:
        with args.record.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
    return int(verdicts["different"] > 0)


if __name__ == "__main__":
    sys.exit(main())
