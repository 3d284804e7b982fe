from __future__ import annotations

import inspect
import pickle

import pytest
from stable_baselines3 import A2C, PPO

from tests.planted.subjects.mutants import MODULE, MUTANTS
from tests.planted.subjects.mutation import (
    OWNERS,
    Edit,
    Mutant,
    StaleFragmentError,
    compatible,
    mutated,
    replace_once,
    replaced,
)
from tests.planted.subjects.training import trained, weights

# An edit without effect in every method that a mutant edits or recompiles.
NEUTRAL = (
    Edit("PPO.__init__", "self.batch_size = batch_size", "self.batch_size = 1 * batch_size"),
    Edit("PPO.train", "for epoch in range(self.n_epochs):", "for epoch in range(0, self.n_epochs):"),
    Edit("OnPolicyAlgorithm.__init__", "self.n_steps = n_steps", "self.n_steps = 1 * n_steps"),
    Edit("OnPolicyAlgorithm._setup_model", "    self._setup_lr_schedule()\n", "    (self._setup_lr_schedule(),)\n"),
    Edit("OnPolicyAlgorithm.collect_rollouts", "    n_steps = 0\n", "    n_steps = 0 + 0\n"),
    Edit("OnPolicyAlgorithm.learn", "    iteration = 0\n", "    iteration = 0 + 0\n"),
    Edit("BaseAlgorithm._setup_learn", "self.num_timesteps = 0\n", "self.num_timesteps = 0 + 0\n"),
    Edit("BaseAlgorithm.set_random_seed", "if seed is None:", "if None is seed:"),
    Edit("RolloutBuffer.get", "start_idx = 0\n", "start_idx = 0 + 0\n"),
    Edit("RolloutBuffer.add", "self.pos += 1", "self.pos += 1 + 0"),
    Edit("RolloutBuffer.compute_returns_and_advantage", "last_gae_lam = 0\n", "last_gae_lam = 0 + 0\n"),
    Edit("BaseBuffer.swap_and_flatten", "shape = arr.shape", "shape = tuple(arr.shape)"),
    Edit("ActorCriticPolicy.__init__", "optimizer_kwargs = {}", "optimizer_kwargs = dict()"),
    Edit("ActorCriticPolicy._build", "self.value_net: 1,", "self.value_net: 1.0,"),
    Edit("ActorCriticPolicy.predict_values", "return self.value_net(latent_vf)", "return (self.value_net(latent_vf))"),
    Edit("BasePolicy.init_weights", "module.bias.data.fill_(0.0)", "module.bias.data.fill_(0)"),
    Edit("MlpExtractor.forward_actor", "return self.policy_net(features)", "return (self.policy_net(features))"),
    Edit("DiagGaussianDistribution.log_prob", "return sum_independent_dims", "return (sum_independent_dims)"),
    Edit("CategoricalDistribution.log_prob", "return self", "return (self)"),
)


@pytest.mark.parametrize("env", ["TightBounds", "CartPole15"])
def test_edits_without_effect_change_no_bit(env: str) -> None:
    used = [edit for edit in NEUTRAL if not edit.target.startswith("Categorical" if env == "TightBounds" else "Diag")]
    neutral = mutated((), name="neutral", module=__name__, extra=used)

    assert weights(trained(neutral, env)) == weights(trained(PPO, env))


def test_an_edited_method_is_reached_through_super_of_an_overriding_one() -> None:
    # PPO overrides _setup_model and calls OnPolicyAlgorithm's, which is edited.
    edit = Edit("OnPolicyAlgorithm._setup_model", "    self._setup_lr_schedule()\n", "    self.seen = True\n")
    subject = mutated((), name="subject", module=__name__, extra=[edit])

    with pytest.raises(AttributeError, match="lr_schedule"):
        trained(subject, "TightBounds", n_updates=0)


def test_sb3_itself_is_not_changed() -> None:
    before = {name: {k: id(v) for k, v in vars(owner).items()} for name, owner in OWNERS.items()}
    for mutant in list(MUTANTS.values())[::20]:
        mutated([mutant], name=mutant.name, module=MODULE)

    assert {name: {k: id(v) for k, v in vars(owner).items()} for name, owner in OWNERS.items()} == before


def test_an_edited_method_has_its_name_and_shows_its_source() -> None:
    subject = mutated([MUTANTS["value_loss_halved"]], name="subject", module=__name__)

    assert subject.train.__code__.co_name == "train"
    assert "0.5 * F.mse_loss" in inspect.getsource(subject.train)


def test_a_mutant_is_a_subclass_with_sb3s_arguments() -> None:
    ppo = mutated([MUTANTS["adam_eps_1e-8"]], name="subject", module=__name__)
    a2c = mutated([MUTANTS["adam_for_rmsprop"]], name="subject", module=__name__)

    assert issubclass(ppo, PPO)
    assert issubclass(a2c, A2C)
    assert inspect.signature(ppo) == inspect.signature(PPO)


def test_mutants_are_imported_by_name_and_can_be_pickled() -> None:
    from tests.planted.subjects import mutants

    for name in ("adam_eps_1e-8", "value_loss_halved+rewards_clipped"):
        subject = getattr(mutants, name)
        assert getattr(mutants, name) is subject
        assert pickle.loads(pickle.dumps(subject)) is subject
    with pytest.raises(AttributeError, match="has no attribute 'adam_eps_1e-9'"):
        getattr(mutants, "adam_eps_1e-9")


def test_bugs_in_one_method_are_planted_together() -> None:
    both = mutated([MUTANTS["value_loss_halved"], MUTANTS["entropy_sign"]], name="both", module=__name__)

    source = inspect.getsource(both.train)
    assert "0.5 * F.mse_loss" in source
    assert "entropy_loss = th.mean(entropy)" in source


def test_bugs_in_the_same_lines_or_in_two_algorithms_are_incompatible() -> None:
    def can_be_combined(*names: str) -> bool:
        return compatible([MUTANTS[name] for name in names])

    assert can_be_combined("value_loss_halved", "entropy_sign")
    assert can_be_combined("value_loss_halved__a2c", "adam_for_rmsprop")
    assert not can_be_combined("value_loss_halved", "value_loss_huber")
    assert not can_be_combined("value_loss_halved", "adam_for_rmsprop")


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ("gone", "PPO.train: expected the fragment once, found it 0 times: 'gone'"),
        ("self", "PPO.train: expected the fragment once, found it 2 times: 'self'"),
    ],
)
def test_a_fragment_that_does_not_occur_once_is_reported(old: str, message: str) -> None:
    with pytest.raises(StaleFragmentError) as error:
        replace_once("self.a = self.b", old, "new", "PPO.train")

    assert str(error.value) == message


def test_fragments_are_replaced_at_once_and_may_not_overlap() -> None:
    assert replaced("a b", [("a", "b"), ("b", "a")], "here") == "b a"
    with pytest.raises(StaleFragmentError, match=r"^here: two changes of the same lines$"):
        replaced("abc", [("ab", "x"), ("bc", "y")], "here")


def test_an_edit_of_a_method_that_the_algorithm_lacks_is_reported() -> None:
    mutant = Mutant("adam_eps_1e-8", "A2C.train", "loss.backward()", "pass", "gradient")
    edit = Edit("PPO.train", "loss.backward()", "pass")

    with pytest.raises(StaleFragmentError, match=r"A2C does not use \[\('PPO', 'train'\)\]"):
        mutated([mutant], name="subject", module=__name__, extra=[edit])
