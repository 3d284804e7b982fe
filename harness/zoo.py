"""Run rl_zoo3's training command with custom_ppo and custom_a2c among its algorithms.

    python -m harness.zoo --algo custom_ppo --env CartPole-v1 -f logs/

It needs a process of its own: importing rl_zoo3 patches gymnasium's TimeLimit, and its files can run code.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

from harness.config.names import BORROWED
from harness.config.sources import zoo_folder
from harness.training.algorithms import load_algorithm

__all__ = ["main", "with_hyperparameters"]


def with_hyperparameters(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with the hyperparameter file of the reference algorithm unless a file is named.

    rl_zoo3 would look for custom_ppo.yml, which it does not have; custom_ppo uses ppo.yml.
    """
    given = list(arguments)
    if any(argument.split("=")[0] in ("-conf", "--conf-file") for argument in given):
        return given
    algo = next((value for name, value in itertools.pairwise(given) if name == "--algo"), "")
    algo = next((argument.removeprefix("--algo=") for argument in given if argument.startswith("--algo=")), algo)
    return [*given, "--conf-file", str(zoo_folder() / f"{BORROWED[algo]}.yml")] if algo in BORROWED else given


def main() -> None:
    """Register custom_ppo and custom_a2c with rl_zoo3, then call its training command."""
    sys.argv[1:] = with_hyperparameters(sys.argv[1:])
    import rl_zoo3
    from rl_zoo3.train import train

    rl_zoo3.ALGOS |= {name: load_algorithm(name) for name in BORROWED}
    train()


if __name__ == "__main__":
    main()
