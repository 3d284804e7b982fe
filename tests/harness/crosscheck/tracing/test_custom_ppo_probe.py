from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import PPO

from custom_ppo import CustomPPO
from custom_ppo.engines import FusedEngine
from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.profiles import named_profile
from harness.crosscheck.quantities import ORDER, QUANTITIES
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run
from tests.harness.crosscheck.tracing.cases import CASE

FUSED_HIDES = (
    "new_value",
    "new_log_prob",
    "entropy",
    "ratio",
    "surrogate",
    "predicted_value",
)


@pytest.fixture(scope="module")
def traces() -> dict[str, Trace]:
    sb3 = trace_run(PPO, CASE, 0)
    own = {
        engine: trace_run(CustomPPO, CASE, 0, TracingMode.subject(sb3), engine=engine)
        for engine in ("autograd", "fused")
    }
    return {"sb3": sb3, **own}


def test_under_autograd_every_quantity_is_recorded(traces: dict[str, Trace]) -> None:
    assert traces["autograd"].recorded_ranks == set(ORDER.values())


def test_the_fused_engine_hides_only_what_it_has_written_out(traces: dict[str, Trace]) -> None:
    hidden = {QUANTITIES[rank].name for rank in traces["autograd"].recorded_ranks - traces["fused"].recorded_ranks}

    assert hidden == set(FUSED_HIDES)


@pytest.mark.parametrize("other", ["sb3", "fused"])
def test_all_arrays_are_equal_to_the_bit(traces: dict[str, Trace], other: str) -> None:
    found = compare(traces["autograd"], traces[other])

    assert found.first is None
    assert found.n_compared > 500


def test_the_terms_make_up_the_loss(traces: dict[str, Trace]) -> None:
    autograd = traces["autograd"]
    for number in range(1, 7):
        policy, value, entropy, loss = (
            autograd.get(16, number, name) for name in ("policy_loss", "value_loss", "entropy_loss", "loss")
        )
        assert policy is not None
        assert value is not None
        assert entropy is not None
        np.testing.assert_allclose(loss, policy + 0.01 * entropy + 0.5 * value, rtol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("env", ["TightBounds", "ManySwitches", "Pendulum20"])
def test_its_quantities_equal_sb3s_in_every_environment(env: str) -> None:
    (case,) = named_profile("stress").with_envs((env,)).cases
    baseline = trace_run(CustomPPO, case, 1, engine="autograd")

    assert compare(baseline, trace_run(PPO, case, 1, TracingMode.subject(baseline))).first is None


@pytest.mark.parametrize("engine", ["autograd", "fused"])
def test_a_fed_run_of_itself_shows_no_difference(engine: str) -> None:
    kept = trace_run(CustomPPO, CASE, 0, TracingMode.reference(), engine="autograd")

    fed = trace_run(CustomPPO, CASE, 0, TracingMode.fed(kept), engine=engine)

    assert compare(kept, fed).first is None


def test_the_fused_engine_stays_in_use_while_it_is_probed() -> None:
    engines = []

    class Telling(CustomPPO):
        def train(self) -> None:
            super().train()
            engines.append(type(self.agent.engine))

    trace_run(Telling, CASE, 0)

    assert engines == [FusedEngine, FusedEngine]


def test_a_fed_run_gets_right_weights_after_a_minibatch() -> None:
    kept = trace_run(CustomPPO, CASE, 0, TracingMode.reference(), engine="autograd")

    fed = trace_run(CustomPPO, CASE, 7, TracingMode.fed(kept), engine="autograd")

    for name in ("minibatch", "batch_observation", "batch_advantage", "normalized_advantage"):
        assert np.array_equal(kept.get(16, 1, name), fed.get(16, 1, name)), name  # type: ignore[arg-type]
    for name in ("new_value", "gradient"):
        assert np.array_equal(kept.get(16, 2, name), fed.get(16, 2, name)), name  # type: ignore[arg-type]
