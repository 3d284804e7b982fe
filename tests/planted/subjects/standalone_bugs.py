"""Every planted bug in the standalone PPO, importable as a class: `standalone_bugs:timeout_is_termination`.

A bug that is planted in SB3's source too (see `mutants`) has the same name here, though its code is another.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.planted.subjects import standalone
from tests.planted.subjects.mutation import StaleFragmentError, importer, replaced
from tests.planted.subjects.planted_bug import PlantedBug, by_name

__all__ = ["BUGS", "MODULE", "Bug", "compatible", "rewritten"]

MODULE = __name__
Fragments = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bug(PlantedBug):
    """A bug in the standalone PPO."""

    old: str
    new: str
    stage: str
    """First quantity that must differ from SB3's, even if it cannot be recorded from outside."""
    env: str = "TightBounds"
    """Environment of the stress profile in which the bug makes a difference."""
    note: str = ""
    """Conditions under which the bug makes a difference, or another remark."""
    also: Fragments = ()
    """Further fragments (old, new), where one is not enough."""

    @property
    def fragments(self) -> Fragments:
        """All fragments (old, new) of the bug."""
        return ((self.old, self.new), *self.also)


def rewritten(fragments: Iterable[tuple[str, str]], *, name: str, module: str) -> type[Any]:
    """Return StandalonePPO with fragments (old, new) of its file replaced, importable as module:name.

    Raise StaleFragmentError if a fragment does not occur exactly once, or if two overlap.
    """
    source = replaced(inspect.getsource(standalone), fragments, "standalone.py")
    made = types.ModuleType(f"{standalone.__name__}_{name}")
    exec(compile(source, f"<standalone.py with {name}>", "exec"), vars(made))
    subject: type[Any] = made.StandalonePPO
    subject.__name__ = subject.__qualname__ = name
    subject.__module__ = module
    return subject


def compatible(bugs: Sequence[Bug]) -> bool:
    """Return True if no two bugs change the same lines, so that all can be planted."""
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
    # initialisation
    Bug("adam_eps_1e-8", ", eps=1e-5)", ")", "parameters"),
    Bug(
        "action_layer_gain_1",
        "orthogonal(actor_layers[2], 0.01)",
        "orthogonal(actor_layers[2], 1)",
        "initial_parameters",
    ),
    Bug("hidden_layers_gain_1", "orthogonal(hidden, 2**0.5)", "orthogonal(hidden, 1)", "initial_parameters"),
    Bug(
        "layers_initialised_by_default",
        "    nn.init.orthogonal_(module.weight, gain)\n    nn.init.zeros_(module.bias)\n",
        "    pass\n",
        "initial_parameters",
    ),
    Bug("biases_keep_default", "    nn.init.zeros_(module.bias)\n", "", "initial_parameters"),
    Bug("relu", "activation = nn.Tanh", "activation = nn.ReLU", "action"),
    Bug(
        "layers_initialised_one_by_one",
        "    return nn.Linear(n_inputs, n_outputs)\n",
        "    made = nn.Linear(n_inputs, n_outputs)\n    orthogonal(made, 1.0)\n    return made\n",
        "initial_parameters",
        listed=False,
    ),
    Bug(
        "critic_made_before_actor",
        "        actor_layers = [layer(n_inputs, 64), layer(64, 64)]\n"
        "        critic_layers = [layer(n_inputs, 64), layer(64, 64)]\n",
        "        critic_layers = [layer(n_inputs, 64), layer(64, 64)]\n"
        "        actor_layers = [layer(n_inputs, 64), layer(64, 64)]\n"
        "        (*_,) = map(nn.Linear.reset_parameters, actor_layers[:1])\n",
        "initial_parameters",
        note="random numbers are drawn for the layers in another order",
        listed=False,
    ),
    Bug(
        "dropout_in_actor",
        "nn.Sequential(actor_layers[0], activation(), ",
        "nn.Sequential(actor_layers[0], activation(), nn.Dropout(0.05), ",
        "action",
        listed=False,
    ),
    Bug(
        "rmsprop_for_adam",
        ADAM,
        "torch.optim.RMSprop(self.trained(), lr=self.learning_rate(1.0), eps=1e-5)",
        "parameters",
    ),
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
    Bug("bootstrap_undiscounted", "reward[i] += self.gamma * self", "reward[i] += self", "stored_reward"),
    Bug(
        "clipped_action_stored",
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
    Bug("log_prob_of_second_sample", JUDGE, JUDGE.replace("action)", "self.heads.sample(outputs))"), "log_prob"),
    Bug(
        "env_gets_unclipped_actions",
        "np.clip(chosen, space.low, space.high) if isinstance(space, spaces.Box) else chosen",
        "chosen",
        "env_action",
    ),
    Bug(
        "greedy_actions",
        "action = self.heads.sample(outputs)\n            log",
        "action = self.heads.mode(outputs)\n            log",
        "action",
    ),
    Bug(
        "episode_starts_one_step_early",
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
    Bug("log_std_fixed", "self.log_std.exp()", "self.log_std.detach().exp()", "gradient"),
    Bug(
        "log_prob_mean_over_dimensions",
        "return log_prob.sum(1), entropy.sum(1)",
        "return log_prob.mean(1), entropy.sum(1)",
        "log_prob",
    ),
    Bug(
        "entropy_mean_over_dimensions",
        "return log_prob.sum(1), entropy.sum(1)",
        "return log_prob.sum(1), entropy.mean(1)",
        "entropy",
    ),
    Bug(
        "log_prob_of_reversed_dimensions",
        "part.log_prob(actions[:, i]) for i, part",
        "part.log_prob(actions[:, -1 - i].clamp(max=part.probs.shape[1] - 1)) for i, part",
        "log_prob",
        SWITCHES,
        listed=False,
    ),
    # advantages
    Bug(
        "last_values_zero",
        "last_value = self.values(self.observation)",
        "last_value = torch.zeros_like(value)",
        "last_value",
    ),
    Bug(
        "last_values_are_stored_ones",
        "last_value = self.values(self.observation)",
        "last_value = value",
        "last_value",
    ),
    Bug("gae_done_mask_missing", GOES_ON, "goes_on = torch.ones_like(rewards)", "advantage"),
    Bug("gae_masked_by_own_start", GOES_ON, "goes_on = 1.0 - starts", "advantage"),
    Bug("gae_lambda_missing_in_recursion", RUNNING, RUNNING.replace("self.gae_lambda * ", ""), "advantage"),
    Bug("gae_gamma_missing_in_recursion", RUNNING, RUNNING.replace("self.gamma * ", ""), "advantage"),
    Bug("gae_done_mask_missing_in_recursion", RUNNING, RUNNING.replace("goes_on[t] * ", ""), "advantage"),
    Bug(
        "first_advantage_zero",
        "range(self.n_steps - 1, -1, -1)",
        "range(self.n_steps - 1, 0, -1)",
        "advantage",
        listed=False,
    ),
    Bug(
        "returns_without_values",
        "return advantages, advantages + values",
        "return advantages, advantages.clone()",
        "return",
    ),
    Bug(
        "advantages_recomputed_per_epoch",
        ORDER,
        ORDER
        + "            with torch.no_grad():\n"
        + "                seen = self.rollout[0]\n"
        + "                self.rollout[4] = self.critic(seen.flatten(0, 1)).view(seen.shape[:2])\n"
        + "                last, done = self.values(self.observation), torch.as_tensor(self.done).float()\n"
        + "                again = self.estimate(last, done)\n"
        + "            flat[6:] = [x.transpose(0, 1).flatten(0, 1) for x in again]\n",
        "batch_advantage",
        note="several epochs",
    ),
    # minibatches
    Bug("shuffled_by_torch", "np.random.permutation(n)", "torch.randperm(n).numpy()", "minibatch"),
    Bug("minibatches_not_shuffled", "np.random.permutation(n)", "np.arange(n)", "minibatch"),
    Bug("shuffled_once_per_update", EPOCHS + ORDER, ORDER[4:] + EPOCHS, "minibatch"),
    Bug("last_partial_minibatch_dropped", BATCHES, "range(0, n - self.batch_size + 1, self.batch_size)", "minibatch"),
    Bug("one_minibatch_per_epoch", BATCHES, "range(0, self.batch_size, self.batch_size)", "minibatch"),
    Bug(
        "flattened_by_time",
        "x.transpose(0, 1).flatten(0, 1) for x in",
        "x.flatten(0, 1) for x in",
        "minibatch",
    ),
    Bug(
        "observations_flattened_by_time",
        FLAT + "\n",
        FLAT + "\n        flat[0] = self.rollout[0].flatten(0, 1)\n",
        "batch_observation",
        listed=False,
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
        "ratio_to_itself",
        "log_ratio = log_prob - old_log_prob",
        "log_ratio = log_prob - log_prob.detach()",
        "ratio",
    ),
    Bug("surrogate_is_maximum", SURROGATE, SURROGATE.replace("torch.max", "torch.min"), "surrogate"),
    Bug("surrogate_never_clipped", SURROGATE, "(-advantage * ratio).mean()", "surrogate"),
    Bug("surrogate_clipped_above_only", "ratio.clamp(1 - clip, 1 + clip)", "ratio.clamp(max=1 + clip)", "surrogate"),
    Bug("policy_loss_summed", SURROGATE, SURROGATE.replace(".mean()", ".sum()"), "policy_loss"),
    Bug("value_loss_halved", VALUE_LOSS, VALUE_LOSS.replace("functional", "0.5 * functional"), "value_loss"),
    Bug("value_clip_ignored", VALUE_CLIPPED, "pass", "predicted_value"),
    Bug("clip_range_vf_is_clip_range", VALUE_CLIPPED, VALUE_CLIPPED.replace("clip_vf", "clip"), "predicted_value"),
    Bug(
        "value_clip_pessimistic",
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
    Bug("values_broadcast", "value = self.critic(seen).squeeze(1)", "value = self.critic(seen)", "predicted_value"),
    Bug("vf_coef_1", "self.vf_coef * value_loss", "value_loss", "loss"),
    Bug("entropy_sign", "policy_loss - self.ent_coef", "policy_loss + self.ent_coef", "entropy_loss"),
    Bug("entropy_left_out", LOSS, "loss = policy_loss + self.vf_coef * value_loss", "entropy_loss"),
    Bug("target_kl_ignored", "kl > 1.5 * self.target_kl", "False", "gradient", SWITCHES),
    Bug("kl_stop_without_factor", "kl > 1.5 * self.target_kl", "kl > self.target_kl", "gradient", SWITCHES),
    Bug(
        "kl_stop_ends_epoch_only",
        "clip_vf):\n                    return\n",
        "clip_vf):\n                    break\n",
        "minibatch",
        SWITCHES,
    ),
    # optimisation
    Bug("gradients_not_clipped", CLIP, "", "clipped_gradient"),
    Bug(
        "gradients_clipped_per_network",
        CLIP,
        "        nn.utils.clip_grad_norm_([*self.heads.parameters(), *self.actor.parameters()], self.max_grad_norm)\n"
        "        nn.utils.clip_grad_norm_(self.critic.parameters(), self.max_grad_norm)\n",
        "clipped_gradient",
    ),
    Bug("gradients_not_clipped", CLIP + STEP, STEP + CLIP, "clipped_gradient", variant="clipped_after_step"),
    Bug("gradients_accumulate", "        self.optimizer.zero_grad()\n", "", "gradient"),
    Bug("two_steps_per_minibatch", STEP, STEP + STEP, "gradient"),
    Bug(
        "first_layer_not_trained",
        "hidden = [*self.actor[:-1].parameters(), ",
        "hidden = [*self.actor[1:-1].parameters(), ",
        "clipped_gradient",
        note="the actor's first layer is neither clipped nor trained",
        listed=False,
    ),
)

BUGS: Mapping[str, Bug] = by_name(_BUGS)


def _make(name: str) -> type[Any]:
    fragments = [pair for one in name.split("+") for pair in BUGS[one].fragments]
    return rewritten(fragments, name=name, module=MODULE)


__getattr__ = importer(MODULE, _make, lambda: tuple(BUGS))
