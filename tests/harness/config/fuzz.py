"""Damage valid experiments in thousands of ways: each file must load or give clean messages, and run nothing.

    python -m tests.harness.config.fuzz 20000 --first 0

File number k is the same on every machine. Printed are the counts, and the number and text of each file that failed:
with a traceback, a message that is not one short printable line, more than `SECONDS` of processor time, an import, a
process, a connection, a file opened for writing, or an experiment that `experiment.yml` does not bring back.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.config import parse_config, read_config, resolved_text
from harness.config.sources import zoo_folder
from harness.config.trust import untrusted_imports
from harness.experiment.plan import plan

__all__ = ["UncleanError", "fuzzed", "main", "run_file"]

SECONDS = 2.0
"""Limit of processor time for one file."""

ROOT = Path(__file__).parents[3]

SWEEP = """name: s
algorithms:
  - custom_ppo
  - slow: &slow {class: ppo, hyperparameters_of: ppo, kwargs: {learning_rate: lin_0.001}, factors: {speed: low}}
  - sweep: {of: [custom_ppo, slow], clip_range: [0.1, lin_0.2], policy_kwargs: {small: "dict(net_arch=[8])"}}
  - deviations: {of: custom_ppo, only: [sgd, adam_eps_1e-8]}
  - my_ppo: {class: "my_package.agents:MyPPO", hyperparameters_of: ppo}
environments:
  CartPole-v1: &budget {n_timesteps: 1e3}
  "robots:Arm-v0": {<<: *budget, env_kwargs: {size: 3}, n_envs: 2}
seeds: [3, 1, 2]
evaluation: {n_evaluations: 2, n_eval_episodes: 1, n_final_episodes: 3}
statistics: {baseline: custom_ppo, references: {CartPole-v1: {random: 20, best: 500}}, thresholds: {CartPole-v1: 475}}
hyperparameters:
  ppo:
    default: &default
      policy: MlpPolicy
      normalize: "{'norm_obs': True, 'norm_reward': False}"
      policy_kwargs: "dict(net_arch=dict(pi=[64, 64], vf=[64]), activation_fn=nn.ReLU, log_std_init=-2)"
      env_wrapper: [gymnasium.wrappers.TimeAwareObservation, {my_wrappers.Skip: {n: 2}}]
      callback: [rl_zoo3.callbacks.RawStatisticsCallback, {my_callbacks.Save: {save_freq: 10, save_path: models}}]
      target_kl: null
    CartPole-v1: {<<: *default, batch_size: 64, n_steps: 128}
"""

NASTY = (
    "!!python/object/apply:os.system ['touch /tmp/fuzzed']", "!!python/name:os.system ''", "!!binary aGk=", "!!set {a}",
    "&x [*x]", "*budget", "*nobody", "{<<: *default}", "<<: [*budget, *default]", "9" * 5000, "1e999", "-.inf", ".nan",
    "0.0.0", "[" * 60, "{a: " * 60, '"\\U00110000"', '"\\ud800"', '"\\0"', "'", '"', "\t", "\x07", "\u202e", "é", "\r",
    "lin_" + "9" * 2000, "lin_", "lin_1e999", "dict(" * 60, "dict(a=__import__('os').system('id'))", "(lambda: 1)()",
    "2**10**9", "'a' * 10**9", "[x for x in y]", "dict(**{})", "nn.ReLU", "nn.os", "../../etc/passwd", "/dev/zero",
    "a:b:c", "..", "<script>alert(1)</script>", "[bold red]", "\x1b[31m", "x" * 3000, "a b", "~", "null", "true", "- 1",
    "? [a]\n: b", "---", "...", "%YAML 1.1", "# comment", "|", ">", "0-9", "9-0", "1, 2,", "sweep: {of: ppo}",
    "deviations",
)  # fmt: skip
"""Snippets that a damaged file holds in place of, or beside, its own text."""

FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "ctypes.dlopen")


class UncleanError(Exception):
    """A file that did not load, and was not refused cleanly either."""


def _bases() -> list[str]:
    """Return the texts that are damaged: this project's experiments, and files of the zoo inside of one."""
    texts = [SWEEP, SWEEP]
    texts += [path.read_text() for path in sorted((ROOT / "configs").glob("*.yml"))]
    for path in sorted(zoo_folder().glob("*.yml")):
        algorithm = {"ppo_lstm": "recurrent_ppo", "her": "tqc"}.get(path.stem, path.stem)
        lines = path.read_text().splitlines()[:60]
        entries = "\n".join(f"    {line}" for line in lines)
        head = f"name: z\nalgorithms: [{algorithm}]\nenvironments: {{CartPole-v1: {{n_timesteps: 99}}}}\nseeds: 1\n"
        texts.append(f"{head}hyperparameters:\n  {algorithm}:\n{entries}\n")
    return texts


def _replace_value(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    lines[at] = lines[at].partition(":")[0] + ": " + rng.choice(NASTY)
    return "\n".join(lines)


def _insert_snippet(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(NASTY) + text[at:]


def _replace_token(text: str, rng: random.Random) -> str:
    tokens = text.split(" ")
    tokens[rng.randrange(len(tokens))] = rng.choice([*NASTY, *tokens])
    return " ".join(tokens)


def _delete(text: str, rng: random.Random) -> str:
    first = rng.randrange(len(text) + 1)
    return text[:first] + text[first + rng.randrange(1, 40) :]


def _duplicate_lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    first = rng.randrange(len(lines))
    return "\n".join([*lines[: first + 1], *lines[first : first + rng.randrange(1, 4)], *lines[first + 1 :]])


def _swap_lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _indent(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    lines[at] = " " * rng.randrange(1, 8) + lines[at]
    return "\n".join(lines)


def _flip_characters(text: str, rng: random.Random) -> str:
    characters = list(text)
    for _ in range(rng.randrange(1, 6)):
        characters[rng.randrange(len(characters))] = chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x2500)]))
    return "".join(characters)


def _flip_bits(text: str, rng: random.Random) -> str:
    """Return text that may hold halves of characters, as lone surrogates, which are written as their bytes."""
    data = bytearray(text.encode("utf-8", "surrogateescape"))
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data.decode("utf-8", "surrogateescape")


def _change_type(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    key, colon, value = lines[at].partition(": ")
    shape = rng.choice(
        ["'{}'", "[{}]", "{{a: {}}}", "!!str {}", "!!float {}", "[[{}]]", "{}.0", "-{}", "{}: 1", "- {}"]
    )
    lines[at] = key + colon + shape.format(value)
    return "\n".join(lines)


def _cut(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _scale_number(text: str, rng: random.Random) -> str:
    digits = [index for index, character in enumerate(text) if character.isdigit()]
    if not digits:
        return text
    at = rng.choice(digits)
    return text[:at] + rng.choice(["-1", "0", "1e30", "99999999", "1_0", "0x1", ".5", "1.5", "1e-400"]) + text[at + 1 :]


MUTATIONS: Sequence[Callable[[str, random.Random], str]] = (
    _replace_value, _insert_snippet, _replace_token, _delete, _duplicate_lines, _swap_lines, _indent, _flip_characters,
    _flip_bits, _change_type, _cut, _scale_number,
)  # fmt: skip


def fuzzed(number: int, bases: Sequence[str]) -> str:
    """Return the text of a damaged file."""
    rng = random.Random(number)
    text = rng.choice(bases)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
        text = rng.choice(MUTATIONS)(text, rng) or "a"
    return text


class _Watch:
    """Audit hook that notes what a configuration must never do, while it is on."""

    def __init__(self) -> None:
        self.is_on = False
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        is_writing = event == "open" and isinstance(arguments[1], str) and any(c in arguments[1] for c in "wax+")
        if event in FORBIDDEN or event == "import" or is_writing:
            self.seen.append(f"{event} {arguments[:1]}")


def run_file(text: str, path: Path, watch: _Watch) -> str:
    """Return "loaded" or "refused"; raise UncleanError for anything else."""
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    watch.seen.clear()
    watch.is_on = True
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        reading = read_config(path)
        problems = [*reading.problems, *untrusted_imports(reading, ())]
        if reading.config is not None:
            again = parse_config(resolved_text(reading.config), path)
            if plan(again) != plan(reading.config):
                raise UncleanError("experiment.yml plans other runs")
    except RecursionError as error:
        raise UncleanError(f"RecursionError: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        watch.is_on = False
    for problem in problems:
        message = str(problem)
        if not message.isprintable() or len(message) > 1_000 or not message.startswith(str(path.parent)):
            raise UncleanError(f"not a clean message: {message[:300]!r}")
    if watch.seen:
        raise UncleanError(f"did {watch.seen[:3]}")
    return "loaded" if reading.config is not None else "refused"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the files; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.config.fuzz", description=__doc__)
    parser.add_argument("n", type=int, help="number of files")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="number of the first file (default 0)")
    options = parser.parse_args(arguments)

    def stop(*_: object) -> None:
        raise UncleanError(f"took more than {SECONDS:g} seconds")

    signal.signal(signal.SIGVTALRM, stop)
    watch = _Watch()
    sys.addaudithook(watch)
    bases = _bases()
    counts: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yml"
        (Path(folder) / "hyperparams").symlink_to(ROOT / "configs" / "hyperparams")
        for text in bases:  # loads the catalogue and everything else that is imported late
            assert run_file_safely(text, path, watch) in {"loaded", "refused"}
        for number in range(options.first, options.first + options.n):
            start = time.process_time()
            try:
                counts[run_file(fuzzed(number, bases), path, watch)] += 1
            except Exception as error:
                counts["FAILED"] += 1
                print(f"file {number}: {type(error).__name__}: {str(error)[:300]}")
            slowest = max(slowest, time.process_time() - start)
    print(
        f"{options.n:,} files: {counts['loaded']:,} loaded, {counts['refused']:,} refused, "
        f"{counts['FAILED']:,} failed; slowest {slowest:.2f} s"
    )
    return 1 if counts["FAILED"] else 0


def run_file_safely(text: str, path: Path, watch: _Watch) -> str:
    """Return the outcome of an undamaged file, during which imports are allowed."""
    try:
        return run_file(text, path, watch)
    except UncleanError as error:
        if "import" not in str(error):
            raise
        return run_file(text, path, watch)


if __name__ == "__main__":
    sys.exit(main())
