"""Campaign of faults: an experiment is hit by random faults until it is complete, and must equal an undisturbed one.

    python -m tests.harness.campaign 30 [--seed 0]

Each round starts an experiment and disturbs it: SIGKILL to the harness or to a worker, SIGTERM, files that are
truncated between two calls, a second harness on the same folder. The experiment is then called until it is finished.
Prints how many runs were lost (no finished record), wrong (other bits than undisturbed), and continued from a
checkpoint, and ends with 1 if one was lost or wrong.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.config import load_config
from harness.experiment.plan import plan
from harness.experiment.run_records import read_record
from harness.training.executors.processes import children_of
from tests.harness.processes import is_running
from tests.harness.training.same_results import differences

ROOT = Path(__file__).parents[2]

EXPERIMENT = """\
name: campaign
algorithms: [custom_ppo, custom_a2c, ppo]
environments: {CartPole-v1: {n_timesteps: 12_000}, Pendulum-v1: {n_timesteps: 12_000}}
seeds: 0-1
evaluation: {n_evaluations: 4, n_eval_episodes: 2, n_final_episodes: 5}
statistics: {n_bootstrap: 50}
execution: {checkpoint_interval: 0.2, retries: 1}
hyperparameters:
  ppo: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 128, batch_size: 64, n_epochs: 4, normalize: true}}
  custom_a2c: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 16, normalize: true}}
"""

# The report takes longer than the runs, and is made from what they leave.
SCRIPT = """
import sys
import harness.analysis.report as report
report.write_report = lambda *_, **__: None
from harness.cli import main
sys.argv = ["harness", "compare", *sys.argv[1:]]
if __name__ == "__main__":
    main()
"""

FAULTS = ("kill harness", "kill worker", "terminate", "truncate", "second harness")


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(folder / "campaign.yml"), "--out", str(out), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        found += [child for child in children_of(parent) if child not in found]
    return found[1:]


def workers(pid: int) -> list[int]:
    """Return the ids of workers: they lead a session, and their parent is the forkserver, a child of the harness."""
    return [grandchild for child in children_of(pid) for grandchild in children_of(child) if is_running(grandchild)]


def has_come(event: str, pid: int, out: Path, began: float) -> bool:
    """Return True if a harness has a worker, or one of its runs has made a checkpoint."""
    match event:
        case "a worker":
            return bool(workers(pid))
        case "a checkpoint":
            return any(changed > began for changed in times_of(out.glob("runs/*/*/checkpoint.bin")))
    return True


def times_of(paths: Iterator[Path]) -> Iterator[float]:
    """Yield the times of change of those files that exist still: runs remove their checkpoints when they end."""
    with suppress(FileNotFoundError):
        for path in paths:
            with suppress(FileNotFoundError):
                yield path.stat().st_mtime


def truncate(out: Path, chance: random.Random) -> None:
    """Cut one file of the results at a random place."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != ".lock"]
    if files:
        path = chance.choice(sorted(files))
        path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size + 1)])


def disturb(process: subprocess.Popen[str], fault: str, folder: Path, out: Path, chance: random.Random) -> None:
    """Hit an experiment once."""
    match fault:
        case "kill worker":
            found = workers(process.pid)
            if found:
                os.kill(chance.choice(found), signal.SIGKILL)
        case "terminate":
            process.send_signal(signal.SIGTERM)
        case "second harness":
            second = start(folder, out)
            output, _ = second.communicate(timeout=120)
            assert "is writing here" in output or process.poll() is not None, output
        case _:
            process.kill()
            process.communicate()
            if fault == "truncate":
                truncate(out, chance)


def attack(folder: Path, out: Path, chance: random.Random, counts: Counter[str]) -> None:
    """Run an experiment to its end with a fault in each of the first calls."""
    for attempt in range(30):
        process = start(folder, out)
        descendants: set[int] = set()
        if attempt < 4:
            fault = chance.choice(FAULTS)
            counts[fault] += 1
            # A moment while libraries are loaded, or after the first worker or checkpoint of this call.
            before = chance.choice(("loading", "a worker", "a checkpoint", "a checkpoint"))
            began, end = time.time(), math.inf
            while time.monotonic() < end and process.poll() is None:
                descendants.update(family(process.pid))
                if end == math.inf and has_come(before, process.pid, out, began):
                    end = time.monotonic() + chance.uniform(0.0, 8.0 if before == "loading" else 2.0)
                time.sleep(0.02)
            if process.poll() is None:
                disturb(process, fault, folder, out, chance)
        output, _ = process.communicate(timeout=600) if process.returncode is None else ("", "")
        assert "Traceback" not in (output or ""), output
        time.sleep(0.3)
        assert not [pid for pid in descendants if is_running(pid)], "a process has outlived the harness"
        if process.returncode == 0:
            return


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    (folder / "campaign.yml").write_text(EXPERIMENT)
    specs = plan(load_config(folder / "campaign.yml"))
    first = start(folder, folder / "undisturbed")
    output, _ = first.communicate()
    assert first.returncode == 0, output
    counts: Counter[str] = Counter()
    lost = wrong = resumed = total = 0
    for number in range(arguments.rounds):
        out = folder / f"round {number}"
        attack(folder, out, random.Random(f"{arguments.seed} {number}"), counts)
        for spec in specs:
            total += 1
            record = read_record(out / "runs" / spec.run_dir)
            if record is None or record.status != "finished":
                lost += 1
                print(f"lost: {out.name} {spec.label}", flush=True)
                continue
            resumed += bool(record.resumed_at)
            places = (folder / "undisturbed" / "runs" / spec.run_dir, out / "runs" / spec.run_dir)
            found = [line for line in differences(*places) if not line.startswith("failed-")]
            if found:
                wrong += 1
                print(f"wrong: {out.name} {spec.label}: {found[0]}", flush=True)
        shutil.rmtree(out)
        print(f"{number + 1} rounds, {total} runs: {lost} lost, {wrong} wrong, {resumed} continued", flush=True)
    shutil.rmtree(folder)
    print(", ".join(f"{fault} {count}" for fault, count in sorted(counts.items())))
    return int(lost + wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
