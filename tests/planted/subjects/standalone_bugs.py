"""The standalone PPO with a fragment of its file replaced: `standalone_bugs:timeout_is_termination`.

A bug that SB3's source has been given too (see `mutants`) has the same id here, though it is written differently.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.planted.subjects import standalone
from tests.planted.subjects.catalogue import DEVIATIONS
from tests.planted.subjects.mutation import StaleFragmentError, importer, replaced

__all__ = ["BUGS", "MODULE", "Bug", "compatible", "rewritten"]

MODULE = __name__
Fragments = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bug:
    """One bug of the standalone PPO."""

    id: str
    old: str
    new: str
    stage: str
    """The first quantity that must differ from SB3's, whether or not it can be seen from outside."""
    world: str = "TightBounds"
    profile_note: str = ""
    also: Fragments = ()
    """More fragments: (old, new)."""

    @property
    def fragments(self) -> Fragments:
        return ((self.old, self.new), *self.also)

    @property
    def deviation(self) -> str | None:
        """What it should be named, or None, as no catalogue lists it."""
        return DEVIATIONS[self.id]


def rewritten(fragments: Iterable[tuple[str, str]], *, name: str, module: str) -> type[Any]:
    """StandalonePPO of the changed file, under another name; raises StaleFragmentError."""
    source = replaced(inspect.getsource(standalone), fragments, "standalone.py")
    made = types.ModuleType(f"{standalone.__name__}_{name}")
    exec(compile(source, f"<standalone.py with {name}>", "exec"), vars(made))
    subject: type[Any] = made.StandalonePPO
    subject.__name__ = subject.__qualname__ = name
    subject.__module__ = module
    return subject


def compatible(bugs: Sequence[Bug]) -> bool:
    """Whether no two of them touch the same lines."""
    try:
        replaced(inspect.getsource(standalone), [pair for bug in bugs for pair in bug.fragments], "")
    except StaleFragmentError:
        return False
    return True


IS_TIMEOUT = 'if infos[i].get("TimeLimit.truncated", False):'
MEMORY = "memory.append((seen, action, reward, torch.as_tensor(self.done).float(), value, log_prob))"
JUDGE = "log_prob, _ = self.heads.judge(outputs, action)"
GOES_ON = "goes_on = 1.0 - torch.cat([starts[1:], last_done[None]])"
RUNNING = "self.gamma * self.gae_lambda * goes_on[t] * running"
ORDER = "            order = np.random.permutation(n)  # noqa: NPY002\n"
EPOCHS = "        for _ in range(self.n_epochs):\n"
BATCHES = "range(0, n, self.batch_size)"
NORMALISED = "(advantage - advantage.mean()) / (advantage.std() + 1e-8)"
SURROGATE = "torch.max(-advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)).mean()"
VALUE_CLIPPED = "value = old_value + (value - old_value).clamp(-clip_vf, clip_vf)"
VALUE_LOSS = "value_loss = functional.mse_loss(value, target)"
LOSS = "loss = policy_loss - self.ent_coef * entropy.mean() + self.vf_coef * value_loss"
CLIP = "        nn.utils.clip_grad_norm_(self.trained(), self.max_grad_norm)\n"
STEP = "        self.optimizer.step()\n"
ADAM = "torch.optim.Adam(self.trained(), lr=self.learning_rate(1.0), eps=1e-5)"
FLAT = "flat = [x.transpose(0, 1).flatten(0, 1) for x in (*self.rollout, self.advantages, self.returns)]"
CHOSEN = "[x[chosen] for x in flat]"
SWITCHES, CARTPOLE = "ManySwitches", "CartPole15"

_BUGS = (
    # start
    Bug("adam_eps_1e-8", ", eps=1e-5)", ")", "parameters"),
    Bug(
        "policy_head_gain_1",
        "orthogonal(actor_layers[2], 0.01)",
        "orthogonal(actor_layers[2], 1)",
        "initial_parameters",
    ),
    Bug("hidden_gain_1", "orthogonal(hidden, 2**0.5)", "orthogonal(hidden, 1)", "initial_parameters"),
    Bug(
        "torch_default_initialisation",
        "    nn.init.orthogonal_(module.weight, gain)\n    nn.init.zeros_(module.bias)\n",
        "    pass\n",
        "initial_parameters",
    ),
    Bug("biases_not_zeroed", "    nn.init.zeros_(module.bias)\n", "", "initial_parameters"),
    Bug("relu_activation", "activation = nn.Tanh", "activation = nn.ReLU", "action"),
    Bug(
        "layers_initialised_one_by_one",
        "    return nn.Linear(n_inputs, n_outputs)\n",
        "    made = nn.Linear(n_inputs, n_outputs)\n    orthogonal(made, 1.0)\n    return made\n",
        "initial_parameters",
    ),
    Bug(
        "critic_made_before_actor",
        "        actor_layers = [layer(n_inputs, 64), layer(64, 64)]\n"
        "        critic_layers = [layer(n_inputs, 64), layer(64, 64)]\n",
        "        critic_layers = [layer(n_inputs, 64), layer(64, 64)]\n"
        "        actor_layers = [layer(n_inputs, 64), layer(64, 64)]\n"
        "        (*_,) = map(nn.Linear.reset_parameters, actor_layers[:1])\n",
        "initial_parameters",
        profile_note="the draws come in another order",
    ),
    Bug(
        "dropout_in_the_actor",
        "nn.Sequential(actor_layers[0], activation(), ",
        "nn.Sequential(actor_layers[0], activation(), nn.Dropout(0.05), ",
        "action",
    ),
    Bug("rmsprop", ADAM, "torch.optim.RMSprop(self.trained(), lr=self.learning_rate(1.0), eps=1e-5)", "parameters"),
    Bug("learning_rate_not_annealed", 'group["lr"] = self.learning_rate(remaining)', "pass", "learning_rate", CARTPOLE),
    Bug(
        "clip_range_not_annealed",
        "clip = self.clip_range(remaining)",
        "clip = self.clip_range(1.0)",
        "surrogate",
        CARTPOLE,
    ),
    # rollout
    Bug("timeout_is_termination", IS_TIMEOUT, "if False:", "stored_reward"),
    Bug("bootstrap_on_every_done", IS_TIMEOUT, "if True:", "stored_reward", CARTPOLE),
    Bug(
        "bootstrap_with_reset_observation",
        'last = infos[i]["terminal_observation"]',
        "last = next_observation[i]",
        "stored_reward",
    ),
    Bug("bootstrap_without_gamma", "reward[i] += self.gamma * self", "reward[i] += self", "stored_reward"),
    Bug(
        "stores_clipped_action",
        "memory.append((seen, action, ",
        "memory.append((seen, torch.as_tensor(self.for_env(action)), ",
        "stored_action",
    ),
    Bug(
        "log_prob_of_clipped_action",
        JUDGE,
        "log_prob, _ = self.heads.judge(outputs, torch.as_tensor(self.for_env(action)))",
        "log_prob",
    ),
    Bug("log_prob_of_another_sample", JUDGE, JUDGE.replace("action)", "self.heads.sample(outputs))"), "log_prob"),
    Bug(
        "env_gets_unclipped_action",
        "np.clip(chosen, space.low, space.high) if isinstance(space, spaces.Box) else chosen",
        "chosen",
        "env_action",
    ),
    Bug(
        "acts_deterministically",
        "action = self.heads.sample(outputs)\n            log",
        "action = self.heads.mode(outputs)\n            log",
        "action",
    ),
    Bug(
        "stores_done_as_episode_start",
        "torch.as_tensor(self.done).float(), value",
        "torch.as_tensor(done).float(), value",
        "episode_start",
    ),
    Bug(
        "rewards_clipped",
        "reward = torch.as_tensor(reward)",
        "reward = torch.as_tensor(reward).clamp(-1, 1)",
        "stored_reward",
        SWITCHES,
    ),
    Bug("log_std_is_log_variance", "self.log_std.exp()", "(0.5 * self.log_std).exp()", "gradient"),
    Bug("log_std_detached", "self.log_std.exp()", "self.log_std.detach().exp()", "gradient"),
    Bug(
        "log_prob_mean_over_dims",
        "return log_prob.sum(1), entropy.sum(1)",
        "return log_prob.mean(1), entropy.sum(1)",
        "log_prob",
    ),
    Bug(
        "entropy_mean_over_dims",
        "return log_prob.sum(1), entropy.sum(1)",
        "return log_prob.sum(1), entropy.mean(1)",
        "entropy",
    ),
    Bug(
        "switches_judged_in_reverse",
        "part.log_prob(actions[:, i]) for i, part",
        "part.log_prob(actions[:, -1 - i].clamp(max=part.probs.shape[1] - 1)) for i, part",
        "log_prob",
        SWITCHES,
    ),
    # advantages
    Bug(
        "last_values_are_zero",
        "last_value = self.values(self.observation)",
        "last_value = torch.zeros_like(value)",
        "last_value",
    ),
    Bug(
        "last_value_of_the_last_stored_state",
        "last_value = self.values(self.observation)",
        "last_value = value",
        "last_value",
    ),
    Bug("gae_ignores_episode_ends", GOES_ON, "goes_on = torch.ones_like(rewards)", "advantage"),
    Bug("gae_done_mask_off_by_one", GOES_ON, "goes_on = 1.0 - starts", "advantage"),
    Bug("gae_lambda_dropped", RUNNING, RUNNING.replace("self.gae_lambda * ", ""), "advantage"),
    Bug("gae_gamma_dropped_in_recursion", RUNNING, RUNNING.replace("self.gamma * ", ""), "advantage"),
    Bug("gae_recursion_ignores_episode_ends", RUNNING, RUNNING.replace("goes_on[t] * ", ""), "advantage"),
    Bug(
        "first_step_has_no_advantage", "range(self.n_steps - 1, -1, -1)", "range(self.n_steps - 1, 0, -1)", "advantage"
    ),
    Bug(
        "returns_without_values",
        "return advantages, advantages + values",
        "return advantages, advantages.clone()",
        "return",
    ),
    Bug(
        "advantages_recomputed_every_epoch",
        ORDER,
        ORDER
        + "            with torch.no_grad():\n"
        + "                seen = self.rollout[0]\n"
        + "                self.rollout[4] = self.critic(seen.flatten(0, 1)).view(seen.shape[:2])\n"
        + "                last, done = self.values(self.observation), torch.as_tensor(self.done).float()\n"
        + "                again = self.estimate(last, done)\n"
        + "            flat[6:] = [x.transpose(0, 1).flatten(0, 1) for x in again]\n",
        "batch_advantage",
        profile_note="several epochs",
    ),
    # minibatches
    Bug("minibatches_by_torch_randperm", "np.random.permutation(n)", "torch.randperm(n).numpy()", "minibatch"),
    Bug("minibatches_not_shuffled", "np.random.permutation(n)", "np.arange(n)", "minibatch"),
    Bug("shuffled_once_per_rollout", EPOCHS + ORDER, ORDER[4:] + EPOCHS, "minibatch"),
    Bug("last_partial_minibatch_dropped", BATCHES, "range(0, n - self.batch_size + 1, self.batch_size)", "minibatch"),
    Bug("first_minibatch_of_an_epoch_only", BATCHES, "range(0, self.batch_size, self.batch_size)", "minibatch"),
    Bug(
        "rollout_flattened_step_by_step",
        "x.transpose(0, 1).flatten(0, 1) for x in",
        "x.flatten(0, 1) for x in",
        "minibatch",
    ),
    Bug(
        "observations_flattened_step_by_step",
        FLAT + "\n",
        FLAT + "\n        flat[0] = self.rollout[0].flatten(0, 1)\n",
        "batch_observation",
    ),
    Bug("one_epoch_less", EPOCHS, EPOCHS.replace("self.n_epochs", "self.n_epochs - 1"), "minibatch"),
    # losses
    Bug("advantages_not_normalised", "if self.normalize_advantage and", "if False and", "normalized_advantage"),
    Bug("advantage_std_biased", "advantage.std()", "advantage.std(unbiased=False)", "normalized_advantage"),
    Bug(
        "advantages_normalised_per_rollout_by_torch",
        NORMALISED,
        "(advantage - self.advantages.mean()) / (self.advantages.std() + 1e-8)",
        "normalized_advantage",
    ),
    Bug(
        "old_log_prob_recomputed",
        "log_ratio = log_prob - old_log_prob",
        "log_ratio = log_prob - log_prob.detach()",
        "ratio",
    ),
    Bug("max_instead_of_min", SURROGATE, SURROGATE.replace("torch.max", "torch.min"), "surrogate"),
    Bug("surrogate_unclipped", SURROGATE, "(-advantage * ratio).mean()", "surrogate"),
    Bug("clipped_above_only", "ratio.clamp(1 - clip, 1 + clip)", "ratio.clamp(max=1 + clip)", "surrogate"),
    Bug("policy_loss_summed", SURROGATE, SURROGATE.replace(".mean()", ".sum()"), "policy_loss"),
    Bug("value_loss_halved", VALUE_LOSS, VALUE_LOSS.replace("functional", "0.5 * functional"), "value_loss"),
    Bug("value_not_clipped", VALUE_CLIPPED, "pass", "predicted_value"),
    Bug("clip_range_vf_is_clip_range", VALUE_CLIPPED, VALUE_CLIPPED.replace("clip_vf", "clip"), "predicted_value"),
    Bug(
        "value_loss_max_of_clipped",
        VALUE_CLIPPED,
        "clipped = old_value + (value - old_value).clamp(-clip_vf, clip_vf)",
        "value_loss",
        also=(
            (
                VALUE_LOSS,
                "value_loss = torch.max((value - target) ** 2, (clipped - target) ** 2).mean()"
                " if clip_vf is not None else functional.mse_loss(value, target)",
            ),
        ),
    ),
    Bug("values_not_flattened", "value = self.critic(seen).squeeze(1)", "value = self.critic(seen)", "predicted_value"),
    Bug("vf_coef_missing", "self.vf_coef * value_loss", "value_loss", "loss"),
    Bug("entropy_sign", "policy_loss - self.ent_coef", "policy_loss + self.ent_coef", "entropy_loss"),
    Bug("entropy_not_added", LOSS, "loss = policy_loss + self.vf_coef * value_loss", "entropy_loss"),
    Bug("target_kl_ignored", "kl > 1.5 * self.target_kl", "False", "gradient", SWITCHES),
    Bug("target_kl_without_1_5", "kl > 1.5 * self.target_kl", "kl > self.target_kl", "gradient", SWITCHES),
    Bug(
        "target_kl_stops_epoch_only",
        "clip_vf):\n                    return\n",
        "clip_vf):\n                    break\n",
        "minibatch",
        SWITCHES,
    ),
    # optimisation
    Bug("gradient_not_clipped", CLIP, "", "clipped_gradient"),
    Bug(
        "gradient_clipped_per_network",
        CLIP,
        "        nn.utils.clip_grad_norm_([*self.heads.parameters(), *self.actor.parameters()], self.max_grad_norm)\n"
        "        nn.utils.clip_grad_norm_(self.critic.parameters(), self.max_grad_norm)\n",
        "clipped_gradient",
    ),
    Bug("gradient_clipped_after_step", CLIP + STEP, STEP + CLIP, "clipped_gradient"),
    Bug("gradients_accumulate", "        self.optimizer.zero_grad()\n", "", "gradient"),
    Bug("two_steps_per_minibatch", STEP, STEP + STEP, "gradient"),
    Bug(
        "frozen_first_layer",
        "hidden = [*self.actor[:-1].parameters(), ",
        "hidden = [*self.actor[1:-1].parameters(), ",
        "clipped_gradient",
        profile_note="the actor's first layer is neither clipped nor trained",
    ),
)

BUGS: Mapping[str, Bug] = {bug.id: bug for bug in _BUGS}


def _make(name: str) -> type[Any]:
    fragments = [pair for one in name.split("+") for pair in BUGS[one].fragments]
    return rewritten(fragments, name=name, module=MODULE)


__getattr__ = importer(MODULE, _make, lambda: tuple(BUGS))
