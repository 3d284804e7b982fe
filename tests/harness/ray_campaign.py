"""Campaign on a Ray cluster: nodes are killed while an experiment runs, which must end as on one machine.

    python -m tests.harness.ray_campaign 10 [--seed 0]

The cluster has a head and two nodes on this machine. In each round an experiment is started, and twice a random node
is killed with SIGKILL at a random moment, and another one added. Prints how many runs were lost (no finished record),
wrong (other bits than those of an undisturbed experiment on this machine without Ray), interrupted by the loss of their
node, and continued from a checkpoint; ends with 1 if one was lost or wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from harness.config import load_config
from harness.experiment.plan import plan
from harness.experiment.run_records import read_record
from tests.harness.campaign.calls import SCRIPT
from tests.harness.training.executors.ray_nodes import Nodes
from tests.harness.training.same_results import differences

ROOT = Path(__file__).parents[2]

EXPERIMENT = """\
name: campaign
algorithms: [custom_ppo, custom_a2c, ppo]
environments: {CartPole-v1: {n_timesteps: 5_000}}
seeds: 0-1
evaluation: {n_evaluations: 4, n_eval_episodes: 2, n_final_episodes: 5}
statistics: {n_bootstrap: 50}
execution: {checkpoint_interval: 0.1}
hyperparameters:
  ppo: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 128, batch_size: 64, n_epochs: 4, normalize: true}}
  custom_a2c: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 16, normalize: true}}
"""

KILLS = 2
"""Nodes that are killed in each round."""


def start(folder: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(folder / "campaign.yml"), "--out", str(out), "--no-check"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--json-progress", "--workers", "2", *options],
        cwd=ROOT,
        env=environment,
        stdout=(folder / f"{out.name}.jsonl").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
    )


def attack(process: subprocess.Popen[str], nodes: Nodes, storage: Path, chance: random.Random) -> int:
    """Kill nodes at random moments and add others; return the number that were killed before the end."""
    for number in range(KILLS):
        after_checkpoint = chance.random() < 0.8
        while after_checkpoint and process.poll() is None and not list(storage.rglob("*.json")):
            time.sleep(0.02)
        end = time.monotonic() + chance.uniform(0.0, 2.0 if after_checkpoint else 10.0)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is not None:
            return number
        nodes.kill(chance.randrange(len(nodes.nodes)))
        nodes.add()
    return KILLS


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ray-campaign-"))
    (folder / "campaign.yml").write_text(EXPERIMENT)
    specs = plan(load_config(folder / "campaign.yml"))
    undisturbed = folder / "undisturbed"
    first = start(folder, undisturbed)
    assert first.wait() == 0, (folder / "undisturbed.jsonl").read_text()
    counts: Counter[str] = Counter()
    nodes = Nodes(2)
    try:
        for number in range(arguments.rounds):
            out, storage = folder / f"round {number}", folder / "storage"
            storage.mkdir(exist_ok=True)
            chance = random.Random(f"{arguments.seed} {number}")
            process = start(folder, out, "--executor", "ray", "--address", nodes.address, "--storage", str(storage))
            counts["nodes killed"] += attack(process, nodes, storage, chance)
            code = process.wait(timeout=600)
            lines = (folder / f"{out.name}.jsonl").read_text()
            assert code == 0, lines
            events = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
            counts["interrupted"] += sum(event["event"] == "lost" for event in events)
            for spec in specs:
                counts["runs"] += 1
                record = read_record(out / "runs" / spec.run_dir)
                if record is None or record.status != "finished":
                    counts["lost"] += 1
                    print(f"lost: {out.name} {spec.label}", flush=True)
                    continue
                counts["continued"] += bool(record.resumed_at)
                found = list(differences(undisturbed / "runs" / spec.run_dir, out / "runs" / spec.run_dir))
                if found:
                    counts["wrong"] += 1
                    print(f"wrong: {out.name} {spec.label}: {found[0]}", flush=True)
            left = [path for path in storage.rglob("*") if path.is_file()]
            assert not left, left
            shutil.rmtree(out)
            print(
                f"{number + 1} rounds, {counts['nodes killed']} nodes killed, {counts['runs']} runs: "
                f"{counts['lost']} lost, {counts['wrong']} wrong, {counts['interrupted']} interrupted by the loss of "
                f"their node, {counts['continued']} continued from a checkpoint",
                flush=True,
            )
    finally:
        nodes.close()
    shutil.rmtree(folder)
    return int(counts["lost"] + counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
