from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from harness.bench import floor
from harness.bench.floor import bare_env_seconds, product_seconds, recorded_actions, sgemm_gflops, vec_env_seconds
from harness.bench.measure import built, specs_of
from tests.harness.bench.small import SMALL

SB3 = specs_of(SMALL).theirs


def test_all_steps_of_a_training_are_recorded() -> None:
    with built(SB3) as model:
        actions = recorded_actions(model.env)
        model.learn(128)

    assert len(actions) == 64
    assert actions[0].shape == (2,)


def test_recorded_actions_make_the_same_steps_in_new_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    with built(SB3) as model:
        actions = recorded_actions(model.env)
        model.learn(128)
        trained = model._last_obs
    for measure in (vec_env_seconds, bare_env_seconds):
        with built(SB3) as model:
            assert measure(model, actions) > 0
            states = np.array([env.unwrapped.state for env in model.env.envs], dtype=np.float32)
        np.testing.assert_array_equal(states, trained)


def test_products_are_those_of_both_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []

    def product(bias: Any, left: torch.Tensor, right: torch.Tensor, peak: float) -> float:
        shapes.append((*left.shape, right.shape[1]))
        return 1.0

    monkeypatch.setattr(floor, "_product", product)
    with built(SB3) as model:
        model.learn(64)
        acting, updating = product_seconds(model, 128)

    # 64 steps of 2 environments, and 128 steps * 2 epochs / 32 = 8 minibatches; 6 layers. Of every network, the first
    # layer has no gradient of its inputs: 6 products forward, 6 for the weights, 4 for inputs.
    assert acting == 64 * 6
    assert updating == 8 * (6 + 6 + 4)
    assert shapes.count((2, 4, 64)) == 2
    assert shapes.count((32, 64, 64)) == 2 + 2
    assert shapes.count((64, 32, 64)) == 2


def test_convolutions_are_measured_too() -> None:
    conv = torch.nn.Conv2d(2, 3, 3)
    layer = floor._Layer(conv, torch.ones(1, 2, 8, 8), True)

    assert floor._forward_seconds(layer, 1e9) > 0
    assert floor._backward_seconds(layer, 1e9) > 0


def test_a_product_takes_at_least_its_time_at_peak_speed() -> None:
    left, right = torch.ones(2, 3), torch.ones(3, 4)

    assert floor._product(None, left, right, peak=1.0) == 2 * 2 * 3 * 4


def test_the_peak_is_a_plausible_speed() -> None:
    assert 0.1 < sgemm_gflops() < 10_000
