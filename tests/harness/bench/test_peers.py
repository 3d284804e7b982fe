from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.bench import peers
from harness.bench.configurations import chosen_configurations
from harness.bench.peer_speeds import PeerSpeed, peer_grid
from harness.bench.peers import PEER_CONFIGURATIONS, measure_peers

SBX_ANSWER = {"version": "0.28", "jax": "0.10", "sbx": [1.0, 2.0], "sb3": [2.0, 2.0]}


def silent(text: str) -> None:
    del text


def interpreter(path: Path, program: str) -> None:
    """Make an interpreter that runs this program, whatever it is asked for."""
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\n{program}\n", encoding="utf-8")
    path.chmod(0o755)


def test_what_is_not_installed_is_said_for_every_configuration(tmp_path: Path) -> None:
    found = list(measure_peers(tmp_path, 1, silent))

    assert [(speed.name, speed.peer, speed.problem) for speed in found] == [
        (name, peer, "not installed") for name in PEER_CONFIGURATIONS for peer in ("SBX", "CleanRL")
    ]
    assert peer_grid(found).rows[0] == ("cartpole-sb3", "SBX", "not installed", "", "")


def test_sbx_is_asked_for_the_same_hyperparameters(tmp_path: Path) -> None:
    # Library code may print, so the answer is the last line.
    program = f"import sys; open('asked', 'w').write(sys.argv[2]); print('hello'); print({json.dumps(SBX_ANSWER)!r})"
    interpreter(tmp_path / "sbx" / "bin" / "python", program.replace("'asked'", repr(str(tmp_path / "asked"))))
    (configuration,) = chosen_configurations(["cartpole-zoo"])

    found = peers._sbx(configuration, tmp_path, 2)

    assert found == PeerSpeed("cartpole-zoo", "SBX", "0.28, JAX 0.10", (2.0, 1.0))
    asked = json.loads((tmp_path / "asked").read_text(encoding="utf-8"))
    assert (asked["n_envs"], asked["pairs"]) == (8, 2)
    assert asked["hyperparams"]["learning_rate"] == 0.001  # the first value of lin_0.001
    assert asked["hyperparams"]["n_epochs"] == 20


def test_a_peer_that_fails_is_a_reason(tmp_path: Path) -> None:
    interpreter(tmp_path / "sbx" / "bin" / "python", "raise SystemExit('no module named jax')")
    (configuration,) = chosen_configurations(["cartpole-zoo"])

    assert peers._sbx(configuration, tmp_path, 2).problem == "no module named jax"


def test_cleanrl_reports_its_own_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter(tmp_path / "cleanrl" / "bin" / "python", "print('SPS: 100'); print('SPS: 8192')")
    (tmp_path / "ppo.py").touch()
    clock = iter([0.0, 1.0] * 3)
    monkeypatch.setattr(peers, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(peers, "built", _Untrained)
    (configuration,) = chosen_configurations(["cartpole-zoo"])

    found = peers._cleanrl(configuration, tmp_path, 2)

    # 4,096 steps take SB3 one second, and CleanRL half a second.
    assert found == PeerSpeed("cartpole-zoo", "CleanRL", "ppo.py", (2.0, 2.0))


class _Untrained:
    """Stand-in for a model, which trains nothing."""

    def __init__(self, spec: Any) -> None:
        del spec

    def __enter__(self) -> _Untrained:
        return self

    def __exit__(self, *_: object) -> None: ...

    def learn(self, n_timesteps: int) -> None:
        del n_timesteps
