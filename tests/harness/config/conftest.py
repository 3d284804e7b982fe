from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.config import check_config

Check = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty working directory, so that messages show file names without a folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(folder: Path) -> Check:
    """Return a function from changed sections to the messages of check_config; None removes a section.

    Columns are left out of the messages: they depend on how the test writes the file.
    """
    sections = {
        "name": "trial",
        "algorithms": "[ppo]",
        "environments": "{CartPole-v1: {n_timesteps: 1000}}",
        "seeds": "0-1",
        "hyperparameters": "{ppo: {default: {policy: MlpPolicy}}}",
    }

    def messages(**changes: str | None) -> list[str]:
        lines = [f"{key}: {value}" for key, value in (sections | changes).items() if value is not None]
        (folder / "a.yml").write_text("\n".join(lines))
        return [without_columns(str(problem)) for problem in check_config(Path("a.yml"))]

    return messages


def without_columns(message: str) -> str:
    """Return a message with `a.yml:2` in place of `a.yml:2:7`."""
    return re.sub(r"(\w\.ya?ml:\d+):\d+", r"\1", message)


@pytest.fixture
def check_ppo(check: Check) -> Callable[[str], list[str]]:
    """Return a function from one line of a PPO entry to the messages about it, without their place."""

    def messages(line: str, algorithm: str = "ppo") -> list[str]:
        hyperparameters = f"\n  {algorithm}:\n    CartPole-v1:\n      policy: MlpPolicy\n      {line}"
        found = check(algorithms=f"[{algorithm}]", hyperparameters=hyperparameters)
        place = f"a.yml:9: hyperparameters.{algorithm}.CartPole-v1."
        return [message.removeprefix(place) for message in found]

    return messages
