"""Command line of the campaign: rounds until so many moments were hit, and a table."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import tests.harness.campaign as campaign
from tests.harness.campaign.faults import FAULTS, FULL_DISK
from tests.harness.campaign.outcomes import Round, table
from tests.harness.campaign.rounds import play, undisturbed

HITS = 6
DISK_SIZE = "256m"
"""Size of the file system that is filled; the harness asks for 200 MiB before its first run."""

_IN_NAMESPACE = "CAMPAIGN_IN_NAMESPACE"


def enter_namespace() -> None:
    """Continue in a mount namespace of its own, where a tmpfs can be mounted, if the system allows it."""
    flags = "--mount" if os.geteuid() == 0 else "-rm"
    is_tried = _IN_NAMESPACE in os.environ
    if is_tried or shutil.which("unshare") is None:
        return
    if subprocess.run(["unshare", flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        print(f"file systems cannot be mounted here: the kind {FULL_DISK!r} is left out", flush=True)
        return
    os.environ[_IN_NAMESPACE] = "1"
    os.execvp("unshare", ["unshare", flags, sys.executable, "-m", "tests.harness.campaign", *sys.argv[1:]])


def main() -> int:
    """Run the campaign; return 1 if a run was lost or wrong, or a call unclean."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.harness.campaign",
        description=campaign.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("moments", type=int, help="number of moments to hit")
    parser.add_argument("--seed", type=int, default=0, help="seed of kinds and moments")
    parser.add_argument("--kinds", default="", help="kinds to draw from, separated by semicolons; default: all")
    parser.add_argument("--round", type=int, help="only the round of this number")
    arguments = parser.parse_args()
    enter_namespace()
    allowed = [kind for kind in FAULTS if kind != FULL_DISK or _IN_NAMESPACE in os.environ]
    kinds = [kind.strip() for kind in arguments.kinds.split(";") if kind.strip()] or allowed
    if not set(kinds) <= set(allowed):
        parser.error(f"--kinds: expected some of {'; '.join(allowed)}")
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    disk = folder / "disk"
    disk.mkdir()
    if _IN_NAMESPACE in os.environ:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(disk)], check=True)
    specs = undisturbed(folder)
    rounds: list[Round] = []
    number = arguments.round or 0
    while sum(one.moments for one in rounds) < arguments.moments:
        chance = random.Random(f"{arguments.seed} {number}")
        kind = chance.choice(kinds)
        print(f"round {number} (--seed {arguments.seed} --round {number}): {kind}", flush=True)
        out = (disk if kind == FULL_DISK else folder) / f"round {number}"
        rounds.append(play(kind, folder, out, specs, chance, HITS))
        report(rounds[-1])
        shutil.rmtree(out, ignore_errors=True)
        for text in [*folder.glob("*.out"), *folder.glob("*.err")]:
            text.unlink()
        if arguments.round is not None:
            break
        number += 1
    print(table(rounds), flush=True)
    if _IN_NAMESPACE in os.environ:
        subprocess.run(["umount", str(disk)], check=False)
    shutil.rmtree(folder)
    return int(not all(one.is_good for one in rounds))


def report(one: Round) -> None:
    """Print the runs of a round that are not as they should be, and a line of counts."""
    for label, found in one.runs.items():
        if {"lost", "wrong"} & set(found):
            print(f"  {label}: {', '.join(found)}", flush=True)
    for reason in one.unclean:
        print(f"  unclean: {reason}", flush=True)
    counts = Counter(outcome for found in one.runs.values() for outcome in found)
    continued, restarted = counts["continued"], counts["restarted"]
    print(f"  {one.moments} moments, {continued} runs continued, {restarted} restarted", flush=True)


if __name__ == "__main__":
    sys.exit(main())
