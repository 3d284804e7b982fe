from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from torch import nn

from custom_ppo import CustomA2C, CustomPPO
from harness.crosscheck.api import Crosscheck, crosscheck
from harness.crosscheck.profiles import Case, Profile
from harness.crosscheck.reporting.findings import END_OF_TRAINING, Finding
from harness.crosscheck.reporting.json_format import as_json
from harness.crosscheck.reporting.results import RunResult
from harness.crosscheck.tracing.randomness import randomness_digest
from harness.errors import HarnessError, UnknownNameError
from tests.planted.subjects.standalone import StandalonePPO

HERE = __name__


class Autograd(CustomPPO):
    """CustomPPO without its hand-written backward pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "engine": "autograd"})


class Plain(PPO):
    """SB3's PPO under another name."""


def run_of(subject: Any, env: str = "CartPole15", reference: str = "ppo", **options: Any) -> RunResult:
    """Result of one run, of two updates unless `updates` is given."""
    (run,) = crosscheck(subject, reference, envs=(env,), **{"seeds": (0,), "updates": 2, **options}).runs
    return run


def first_divergence(subject: Any, env: str = "CartPole15", **options: Any) -> Finding:
    """First divergence beyond rounding, which there must be."""
    run = run_of(subject, env, **{"updates": 1, **options})
    assert run.verdict == "different"
    assert run.first_beyond_rounding is not None
    return run.first_beyond_rounding


# Identical


@pytest.mark.parametrize("subject", [PPO, Plain, CustomPPO, Autograd])
@pytest.mark.parametrize("env", ["TightBounds", "CartPole15", "ManySwitches", "Pendulum20"])
def test_an_algorithm_that_trains_like_ppo_is_identical(subject: Any, env: str) -> None:
    run = run_of(subject, env)

    assert (run.verdict, run.first, run.faults, run.optimizers, run.notes) == ("identical", None, (), None, ())
    assert {size for _, _, size in run.largest} == {0.0}
    assert run.n_compared > 500
    assert run.n_minibatches > 2


@pytest.mark.parametrize("subject", [A2C, CustomA2C])
@pytest.mark.parametrize("env", ["TightBounds", "CartPole15"])
def test_an_algorithm_that_trains_like_a2c_is_identical_to_a2c(subject: Any, env: str) -> None:
    run = run_of(subject, env, "a2c")

    assert (run.verdict, run.n_minibatches) == ("identical", 2)


def test_any_algorithm_can_be_a_reference() -> None:
    assert run_of("trpo", reference="trpo", updates=1).verdict == "identical"
    assert run_of("dqn", reference="dqn").verdict == "identical"


def test_a_recurrent_ppo_is_identical_to_itself() -> None:
    class Same(RecurrentPPO): ...

    small = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "policy_kwargs": {"lstm_hidden_size": 8}}
    profile = Profile("small", "small", (Case("CartPole15", small, n_updates=1),))

    assert crosscheck(Same, "recurrent_ppo", profile=profile, seeds=(0,)).identical


class WithAverage(PPO):
    """Keeps a copy of its weights, and an optimiser that it never uses."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.average = deepcopy(self.policy)
        self.spare = torch.optim.SGD(self.policy.parameters())


class WithCuriosity(PPO):
    """Trains another network besides its policy."""

    def _setup_model(self) -> None:
        super()._setup_model()
        states = torch.get_rng_state()
        self.curiosity = nn.Linear(2, 2)
        torch.set_rng_state(states)
        self.other = torch.optim.Adam(self.curiosity.parameters())

    def train(self) -> None:
        super().train()
        self.curiosity(torch.ones(2)).sum().backward()
        self.other.step()


@pytest.mark.parametrize("subject", [WithAverage, WithCuriosity])
def test_additional_networks_and_optimisers_are_not_compared(subject: Any) -> None:
    run = run_of(subject)

    assert (run.verdict, run.optimizers) == ("identical", None)


class Together:
    """Several optimisers that step as one."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.parts = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()


class CriticFirst(StandalonePPO):
    """Has the critic before the actor, and an optimiser for each."""

    def make_networks(self, n_inputs: int) -> None:
        super().make_networks(n_inputs)
        actor, critic = self.__dict__.pop("actor"), self.__dict__.pop("critic")
        self.critic, self.actor = critic, actor
        weights = [*critic.parameters()], [*self.heads.parameters(), *actor.parameters()]
        self.optimizer: Any = Together(*(torch.optim.Adam(part, eps=1e-5) for part in weights))


@pytest.mark.parametrize("subject", [StandalonePPO, CriticFirst])
@pytest.mark.parametrize("env", ["TightBounds", "ManySwitches"])
def test_a_ppo_without_sb3s_code_is_compared_down_to_its_gradients(subject: Any, env: str) -> None:
    run = run_of(subject, env)

    assert (run.verdict, run.notes) == ("identical", ())
    assert run.n_minibatches > 2


class Hidden:
    """Trains with an optimiser that cannot be found: only its calls of the environments are compared."""

    def __init__(self, policy: Any, env: Any, **settings: Any) -> None:
        self.arguments = policy, env, settings

    def learn(self, n_steps: int) -> None:
        policy, env, settings = self.arguments
        PPO(policy, env, **settings).learn(n_steps)


def test_a_subject_without_optimiser_is_compared_by_its_environment_calls() -> None:
    run = run_of(Hidden)

    assert (run.verdict, run.n_minibatches) == ("identical", 0)
    assert run.notes == (
        "no torch optimiser was found in the subject: only its exchange with the environments is compared",
    )


def test_a_cross_check_keeps_the_random_state_and_is_reproducible() -> None:
    before = randomness_digest()

    first_time, second_time = (run_of(SmallSteps) for _ in range(2))

    assert np.array_equal(randomness_digest(), before)
    assert first_time == second_time


# Different


class SmallSteps(PPO):
    """Has Adam with another epsilon."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.policy.optimizer.param_groups[0]["eps"] = 1e-8
        self.policy.optimizer.defaults["eps"] = 1e-8


class ShortSighted(PPO):
    """Has a buffer with another lambda."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.rollout_buffer.gae_lambda = 1.0


class HalfReward(RolloutBuffer):
    def add(self, obs: Any, action: Any, reward: Any, *rest: Any) -> None:
        super().add(obs, action, reward * 0.5, *rest)


class Greedy(PPO):
    """Takes the most probable action."""

    def _setup_model(self) -> None:
        super()._setup_model()
        forward = self.policy.forward
        self.policy.forward = lambda obs, deterministic=False: forward(obs, deterministic=True)  # type: ignore[method-assign]


class Shifted(PPO):
    """Begins with another value of one weight."""

    def _setup_model(self) -> None:
        super()._setup_model()
        with torch.no_grad():
            self.policy.value_net.bias.add_(0.25)


class OneMoreEpoch(PPO):
    def train(self) -> None:
        self.n_epochs += 1
        super().train()


class ExtraDraw(PPO):
    def train(self) -> None:
        np.random.rand()  # noqa: NPY002
        super().train()


class Unclipped(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "max_grad_norm": 1e9})


class NoEntropy(PPO):
    def __init__(self, *args: Any, ent_coef: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Frozen(PPO):
    """Does not train one weight."""

    def _setup_model(self) -> None:
        super()._setup_model()
        rest = [weight for name, weight in self.policy.named_parameters() if name != "value_net.bias"]
        self.policy.optimizer = torch.optim.Adam(rest, lr=1e-2, eps=1e-5)


@pytest.mark.parametrize(
    ("subject", "quantity", "where"),
    [
        (Shifted, "initial_parameters", "before the first step"),
        (Greedy, "action", "iteration 1, step 1 of the rollout"),
        (ShortSighted, "advantage", "iteration 1, step 32 of the rollout"),
        (ExtraDraw, "minibatch", "iteration 1, epoch 1, minibatch 1"),
        (NoEntropy, "loss", "iteration 1, epoch 1, minibatch 1"),
        (Unclipped, "clipped_gradient", "iteration 1, epoch 1, minibatch 1"),
        (SmallSteps, "parameters", "iteration 1, epoch 1, minibatch 1"),
        (Frozen, "clipped_gradient", "iteration 1, epoch 1, minibatch 1"),
        (OneMoreEpoch, "minibatch", "iteration 1, epoch 4, minibatch 1"),
    ],
)
def test_a_mistake_is_found_where_it_is_made(subject: Any, quantity: str, where: str) -> None:
    found = first_divergence(subject)

    assert (found.quantity, found.where) == (quantity, where)


def test_a_weight_that_differs_is_named() -> None:
    found = first_divergence(Shifted)

    assert (found.element, found.n_different, found.n_elements) == ("value_net.bias[0]", 1, 9155)


def test_unequal_settings_of_the_optimisers_are_reported() -> None:
    run = run_of(SmallSteps, updates=1)

    assert run.optimizers == ("Adam(betas=(0.9, 0.999), eps=1e-08)", "Adam(betas=(0.9, 0.999), eps=1e-05)")


class HalfRewardPPO(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "rollout_buffer_class": HalfReward})


class TwoMistakes(SmallSteps, HalfRewardPPO):
    """Has two mistakes, the second of which is hidden by the first."""


def test_a_mistake_behind_another_is_found_with_the_references_inputs() -> None:
    run = run_of(TwoMistakes, updates=1)

    assert run.first_beyond_rounding is not None
    assert run.first_beyond_rounding.quantity == "stored_reward"
    assert run.first_beyond_rounding.relation == "0.5 times the reference's, wherever it differs"
    assert [fault.quantity for fault in run.faults] == ["stored_reward", "parameters"]
    assert run_of(TwoMistakes, updates=1, resync=False).faults == ()


class Early(PPO):
    """Trains for half of the time."""

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        return super().learn(total_timesteps // 2, *args, **kwargs)


class Late(PPO):
    """Trains for three times as long as it should."""

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        return super().learn(total_timesteps * 3, *args, **kwargs)


class Idle(PPO):
    """Never learns."""

    def train(self) -> None: ...


class Lazy(PPO):
    """Never calls the environments."""

    def learn(self, *args: Any, **kwargs: Any) -> Any:
        return self


class FailsAtOnce(PPO):
    def train(self) -> None:
        raise RuntimeError("out of order\nsince today")


class FailsLater(PPO):
    def train(self) -> None:
        if self.num_timesteps > 64:
            raise SystemExit(3)
        super().train()


def raising_line(subject: type[Any]) -> int:
    code, start = inspect.getsourcelines(subject)
    return start + next(number for number, line in enumerate(code) if line.strip().startswith("raise"))


class NotANumber(PPO):
    def train(self) -> None:
        super().train()
        with torch.no_grad():
            self.policy.value_net.bias.fill_(torch.nan)


@pytest.mark.parametrize(
    ("subject", "quantity", "where", "relation"),
    [
        (Early, END_OF_TRAINING, "iteration 1, epoch 3, minibatch 3", ""),
        (Late, END_OF_TRAINING, "iteration 2, epoch 3, minibatch 3", ""),
        (
            Idle,
            "parameters",
            "iteration 1, epoch 1, minibatch 1",
            "the reference has a value here, the subject has none",
        ),
        (Lazy, END_OF_TRAINING, "before the first step", ""),
        (
            FailsAtOnce,
            END_OF_TRAINING,
            "iteration 1, step 32 of the rollout",
            f"the subject raised RuntimeError: out of order, at test_api.py:{raising_line(FailsAtOnce)}",
        ),
        (
            FailsLater,
            END_OF_TRAINING,
            "iteration 2, step 32 of the rollout",
            f"the subject raised SystemExit: 3, at test_api.py:{raising_line(FailsLater)}",
        ),
        (NotANumber, "value", "iteration 2, step 1 of the rollout", "not finite"),
    ],
)
def test_training_that_ends_at_the_wrong_time_is_reported(
    subject: Any, quantity: str, where: str, relation: str
) -> None:
    found = first_divergence(subject, "TightBounds", updates=2)

    assert (found.quantity, found.where, found.relation) == (quantity, where, relation)


def test_an_error_after_numbers_that_agree_is_not_explained() -> None:
    found = crosscheck(FailsLater, envs=("TightBounds",), seeds=(0,), updates=2, explain=True)

    assert (found.verdict, found.explanation) == ("different", None)
    assert found.runs[0].faults == ()


class Few(PPO):
    """Has fewer arguments than SB3's PPO."""

    def __init__(
        self,
        policy: Any,
        env: Any,
        learning_rate: Any = 3e-4,
        n_steps: int = 2048,
        batch_size: int = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: Any = 0.2,
        vf_coef: float = 0.5,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate,
            n_steps,
            batch_size,
            n_epochs,
            gamma,
            gae_lambda,
            clip_range,
            vf_coef=vf_coef,
            seed=seed,
        )


class Fewer(PPO):
    def __init__(self, policy: Any, env: Any, n_steps: int = 2048, seed: int | None = None) -> None:
        super().__init__(policy, env, n_steps=n_steps, seed=seed, clip_range=lambda _: 0.1)


def test_an_optional_setting_that_the_subject_lacks_is_left_out_for_both() -> None:
    run = run_of(Few)

    assert run.verdict == "identical"
    assert run.notes == tuple(
        f"the subject takes no {name}: both are trained without it" for name in ("clip_range_vf", "ent_coef")
    )


def test_another_setting_that_the_subject_lacks_is_reported() -> None:
    run = run_of(Fewer, updates=1)

    assert run.verdict == "different"
    assert "the subject takes no gamma: the reference is given 0.98" in run.notes
    assert "the subject takes no clip_range: the reference is given a schedule" in run.notes


class Unmakeable(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("not\ntoday")


@pytest.mark.parametrize(
    ("subject", "options", "error"),
    [
        (Unmakeable, {}, f"{HERE}:Unmakeable cannot be made for CartPole15: ValueError: not"),
        (PPO, {"seeds": ()}, "seeds is empty: at least one is needed"),
        ("recurrent_ppo2", {}, "algorithm 'recurrent_ppo2' is not known, did you mean recurrent_ppo?"),
        (PPO, {"reference": "pppo"}, "algorithm 'pppo' is not known, did you mean ppo?"),
        (PPO, {"profile": "strss"}, "profile 'strss' is not known, did you mean stress?"),
        (PPO, {"envs": ("CartPol-v1",)}, "environment 'CartPol-v1' is not registered with gymnasium, did you mean"),
        ("dqn", {"envs": ("TightBounds",)}, "dqn cannot be made for TightBounds: AssertionError: The algorithm only"),
        (f"{HERE}:Nobody", {}, f"module {HERE} has no Nobody"),
        (
            "sac",
            {"reference": "sac", "envs": ("Pendulum20",)},
            "the reference sac makes no optimiser step in Pendulum20 (updates: 1)",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(subject: Any, options: dict[str, Any], error: str) -> None:
    with pytest.raises(HarnessError) as caught:
        crosscheck(subject, **{"envs": ("CartPole15",), "seeds": (0,), "updates": 1, **options})

    assert str(caught.value).startswith(error)
    assert "\n" not in str(caught.value)


def test_an_off_policy_subject_is_different_from_the_start() -> None:
    assert first_divergence("sac", "Pendulum20").where == "before the first step"


# Options


class OtherStart(PPO):
    """Makes its networks under another seed: only its initial weights differ."""

    def __init__(self, *args: Any, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, seed=seed + 1000, **kwargs)
        self.env.seed(seed)  # type: ignore[union-attr]
        self.action_space.seed(seed)


def test_copied_weights_make_a_subject_with_another_start_identical() -> None:
    assert first_divergence(OtherStart).quantity == "initial_parameters"
    assert run_of(OtherStart, copy_weights=True).verdict == "identical"


def test_weights_of_another_network_cannot_be_copied() -> None:
    class Small(PPO):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, policy_kwargs={"net_arch": [8]})

    with pytest.raises(HarnessError, match=r"^the weights cannot be copied: their shapes are 8x4, 8"):
        run_of(Small, copy_weights=True)


@pytest.mark.parametrize("updates", [1, 3])
def test_the_requested_number_of_updates_is_compared(updates: int) -> None:
    run = run_of(PPO, updates=updates)

    assert max(iteration for iteration, _, _ in run.largest) == updates
    assert run.n_minibatches == 9 * updates
    assert len(run.largest) == 10 * updates


def test_environments_and_seeds_are_checked_in_this_order() -> None:
    found = crosscheck(Plain, envs=("CartPole15", "Acrobot-v1"), seeds=(3, 1), updates=1)

    runs = [(run.env, run.seed) for run in found.runs]
    assert runs == [("CartPole15", 3), ("Acrobot-v1", 3), ("CartPole15", 1), ("Acrobot-v1", 1)]
    assert (found.subject, found.reference, found.profile) == (f"{HERE}:Plain", "ppo", "stress")


def test_the_number_of_threads_is_set_while_the_subject_trains() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    class Telling(PPO):
        def train(self) -> None:
            seen.append(torch.get_num_threads())
            super().train()

    try:
        assert run_of(Telling, updates=1, threads=2).verdict == "identical"
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2}


def test_workers_give_the_same_answer() -> None:
    name = f"{HERE}:SmallSteps"
    options: dict[str, Any] = {"envs": ("CartPole15", "TightBounds"), "seeds": (0, 1), "updates": 1}

    alone, together = (crosscheck(name, workers=workers, **options) for workers in (1, 3))

    assert alone.runs == together.runs
    assert (together.subject, together.verdict) == (name, "different")


def test_a_mistake_of_the_user_is_reported_from_a_worker_too() -> None:
    with pytest.raises(HarnessError, match=f"^{HERE}:Unmakeable cannot be made"):
        crosscheck(f"{HERE}:Unmakeable", envs=("CartPole15",), seeds=(0, 1), workers=2)
    with pytest.raises(UnknownNameError, match="has no Nobody"):
        crosscheck(f"{HERE}:Nobody", envs=("CartPole15",), seeds=(0, 1), workers=2)


def test_the_worst_of_the_runs_is_the_verdict() -> None:
    class SometimesWrong(PPO):
        def train(self) -> None:
            if self.seed == 1:
                np.random.rand()  # noqa: NPY002
            super().train()

    found = crosscheck(SometimesWrong, envs=("CartPole15",), seeds=(0, 1), updates=1)

    assert [run.verdict for run in found.runs] == ["identical", "different"]
    assert (found.verdict, found.identical) == ("different", False)


def test_a_result_is_plain_data() -> None:
    found = crosscheck(FailsAtOnce, envs=("CartPole15",), seeds=(0,), updates=1)

    assert isinstance(found, Crosscheck)
    text = json.dumps(as_json(found), allow_nan=False)
    assert json.loads(text)["runs"][0]["first"]["quantity"] == END_OF_TRAINING
    assert isinstance(found.runs, Sequence)
