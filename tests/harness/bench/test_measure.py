from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from custom_ppo import CustomPPO
from harness.bench import measure
from harness.bench.measure import built, first_difference, measure_speed, single_thread, specs_of, with_parts
from harness.bench.speeds import PARTS, Speed
from harness.errors import HarnessError, UnknownNameError
from tests.harness.bench.small import SMALL


class WrongBits(CustomPPO):
    """CustomPPO whose learning rate is larger by the smallest possible amount."""

    def train(self) -> None:
        self.lr_schedule = lambda _: 3.0000002e-4
        super().train()


def silent(text: str) -> None:
    del text


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with single_thread():
        yield


def test_every_pair_adds_one_time_of_each() -> None:
    results = list(measure_speed(SMALL, "auto", 2, silent))

    assert [(len(speed.ours), len(speed.theirs)) for speed in results] == [(1, 1), (2, 2)]
    assert results[-1].unequal == ""
    assert results[-1].engine in ("fused", "native")
    assert all(seconds > 0 for seconds in (*results[-1].ours, *results[-1].theirs))


def test_the_order_alternates_and_the_first_pair_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    trained = measure._trained

    def recorded(spec: Any, n_timesteps: int, engine: str = "auto") -> Any:
        calls.append((spec.algo, n_timesteps))
        return trained(spec, n_timesteps, engine)

    monkeypatch.setattr(measure, "_trained", recorded)

    (first, second) = measure_speed(SMALL, "auto", 2, silent)

    assert calls == [
        ("ppo", 1),
        ("custom_ppo", 1),
        ("custom_ppo", 128),
        ("ppo", 128),
        ("ppo", 128),
        ("custom_ppo", 128),
    ]
    assert second.ours[:1] == first.ours


def test_wrong_bits_end_the_measurement_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "OURS", {"ppo": f"{__name__}:WrongBits"})

    results = list(measure_speed(SMALL, "auto", 3, silent))

    assert len(results) == 1
    assert results[0].unequal == "mlp_extractor.policy_net.0.weight"


def test_a_difference_in_the_state_of_the_optimiser_is_found() -> None:
    specs = specs_of(SMALL)
    with built(specs.ours) as ours, built(specs.theirs) as theirs:
        for model in (ours, theirs):
            model.set_random_seed(0)
            model.learn(64)
        assert first_difference(ours, theirs) == ""
        with torch.no_grad():
            theirs.policy.optimizer.state_dict()["state"][0]["exp_avg"].add_(1e-3)
        assert first_difference(ours, theirs) == "optimiser, parameter 0: exp_avg"


@pytest.mark.parametrize("engine", ["autograd", "fused"])
def test_the_engine_that_is_asked_for_is_used(engine: str) -> None:
    (speed,) = measure_speed(SMALL, engine, 1, silent)

    assert speed.engine == engine
    assert speed.unequal == ""


def test_an_engine_can_be_asked_for_a2c_too() -> None:
    a2c = replace(SMALL, algo="a2c", changes={"n_envs": 2})

    (speed,) = measure_speed(a2c, "autograd", 1, silent)

    assert (speed.engine, speed.unequal) == ("autograd", "")


def test_an_engine_that_is_not_possible_is_a_reason_and_no_traceback() -> None:
    with pytest.raises(HarnessError, match="engine 'warp' is not possible here: "):
        next(measure_speed(SMALL, "warp", 1, silent))


def test_an_environment_that_is_not_installed_is_reported() -> None:
    with pytest.raises(UnknownNameError, match="'CartPol-v1' is not registered"):
        next(measure_speed(replace(SMALL, env="CartPol-v1"), "auto", 1, silent))


def test_parts_and_floor_come_from_further_runs() -> None:
    speed = Speed("small", "CartPole-v1", "ppo", 128, ours=(1.0,), theirs=(2.0,))

    found = with_parts(replace(SMALL, n_timesteps=512), "auto", speed, silent)

    assert (found.ours, found.theirs) == (speed.ours, speed.theirs)
    for shares in found.parts.values():
        assert set(shares) == set(PARTS)
        assert sum(shares.values()) == pytest.approx(1.0)
        assert shares["update"] > 0
    assert found.floor is not None
    assert 0 < found.floor.bare_env <= found.floor.vec_env
    assert found.floor.acting > 0
    assert found.floor.updating > 0


def test_threads_and_warnings_are_as_before_afterwards() -> None:
    n_threads = torch.get_num_threads()
    with single_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == n_threads
