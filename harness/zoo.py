"""rl_zoo3's own training command, with custom_ppo and custom_a2c among its algorithms.

    python -m harness.zoo --algo custom_ppo --env CartPole-v1 -f logs/

In a process of its own, because importing rl_zoo3 patches Gymnasium's TimeLimit, and its files can run code.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

__all__ = ["main", "with_hyperparameters"]


def with_hyperparameters(arguments: Sequence[str]) -> list[str]:
    """The arguments, and the hyperparameter file of the algorithm that ours equals, unless one is named.

    rl_zoo3 looks for a file of the algorithm's own name, which it does not have for ours.
    """
    from harness.config.names import BORROWED
    from harness.config.sources import zoo_folder

    given = list(arguments)
    if any(argument.split("=")[0] in ("-conf", "--conf-file") for argument in given):
        return given
    algo = next((value for name, value in itertools.pairwise(given) if name == "--algo"), "")
    algo = next((argument.removeprefix("--algo=") for argument in given if argument.startswith("--algo=")), algo)
    return [*given, "--conf-file", str(zoo_folder() / f"{BORROWED[algo]}.yml")] if algo in BORROWED else given


def main() -> None:
    """Register our algorithms, then hand over to rl_zoo3."""
    sys.argv[1:] = with_hyperparameters(sys.argv[1:])
    import rl_zoo3
    from rl_zoo3.train import train

    from custom_ppo import CustomA2C, CustomPPO

    rl_zoo3.ALGOS |= {"custom_ppo": CustomPPO, "custom_a2c": CustomA2C}
    train()


if __name__ == "__main__":
    main()
