"""Bugs between the loss and the new weights: gradients, clipping, and the optimiser's steps."""

from __future__ import annotations

from tests.planted.subjects.mutation import Edit, Mutant

__all__ = ["MUTANTS"]

TRAIN = "PPO.train"
ZERO_GRAD = "            self.policy.optimizer.zero_grad()\n"
BACKWARD = "            loss.backward()\n"
CLIP = "            th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)\n"
STEP = "            self.policy.optimizer.step()\n"
LARGE = "gradients longer than max_grad_norm"
PER_TENSOR = """            for parameter in self.policy.parameters():
                th.nn.utils.clip_grad_norm_(parameter, self.max_grad_norm)
"""
PER_NETWORK = """            critic = [p for n, p in self.policy.named_parameters() if "value_net" in n]
            actor = [p for n, p in self.policy.named_parameters() if "value_net" not in n]
            th.nn.utils.clip_grad_norm_(actor, self.max_grad_norm)
            th.nn.utils.clip_grad_norm_(critic, self.max_grad_norm)
"""
ACTOR_ONLY = """            actor = [p for n, p in self.policy.named_parameters() if "value_net" not in n]
            th.nn.utils.clip_grad_norm_(actor, self.max_grad_norm)
"""
BY_VALUE = "            th.nn.utils.clip_grad_value_(self.policy.parameters(), self.max_grad_norm)\n"
INF_NORM = CLIP.replace("self.max_grad_norm)", "self.max_grad_norm, norm_type=float('inf'))")
RESET = """self._update_learning_rate(self.policy.optimizer)
    self.policy.optimizer = type(self.policy.optimizer)(
        self.policy.parameters(), lr=self.lr_schedule(self._current_progress_remaining), **self.policy.optimizer_kwargs
    )"""

MUTANTS = (
    Mutant("gradients_not_clipped", TRAIN, CLIP, "", "clipped_gradient", note=LARGE),
    Mutant("gradients_clipped_per_tensor", TRAIN, CLIP, PER_TENSOR, "clipped_gradient", note=LARGE),
    Mutant("gradients_clipped_per_network", TRAIN, CLIP, PER_NETWORK, "clipped_gradient", note=LARGE),
    Mutant("gradients_clipped_of_actor_only", TRAIN, CLIP, ACTOR_ONLY, "clipped_gradient", note=LARGE, listed=False),
    Mutant("gradients_clipped_by_value", TRAIN, CLIP, BY_VALUE, "clipped_gradient", note=LARGE),
    Mutant("gradients_clipped_by_largest", TRAIN, CLIP, INF_NORM, "clipped_gradient", note=LARGE),
    Mutant(
        "max_grad_norm_1",
        TRAIN,
        "self.max_grad_norm)",
        "1.0)",
        "clipped_gradient",
        note=LARGE,
    ),
    Mutant(
        "max_grad_norm_10_times",
        TRAIN,
        "self.max_grad_norm)",
        "10 * self.max_grad_norm)",
        "clipped_gradient",
        note=LARGE,
    ),
    Mutant(
        "gradients_not_clipped",
        TRAIN,
        BACKWARD,
        CLIP + BACKWARD,
        "clipped_gradient",
        note=LARGE,
        also=(Edit(TRAIN, CLIP, ""),),
        variant="clipped_before_backward",
    ),
    Mutant(
        "gradients_not_clipped",
        TRAIN,
        CLIP,
        "",
        "clipped_gradient",
        note=LARGE,
        also=(Edit(TRAIN, STEP, STEP + CLIP),),
        variant="clipped_after_step",
    ),
    Mutant("gradients_accumulate", TRAIN, ZERO_GRAD, "", "gradient", note="from the second minibatch on"),
    Mutant(
        "gradients_zeroed_before_step",
        TRAIN,
        ZERO_GRAD,
        "",
        "clipped_gradient",
        also=(Edit(TRAIN, CLIP, CLIP + ZERO_GRAD),),
        listed=False,
    ),
    Mutant("gradients_doubled", TRAIN, BACKWARD, "            (2 * loss).backward()\n", "loss", listed=False),
    Mutant("two_steps_per_minibatch", TRAIN, STEP, STEP + STEP, "minibatch"),
    Mutant(
        "one_step_per_two_minibatches",
        TRAIN,
        STEP,
        STEP.replace("self", "len(pg_losses) % 2 and self"),
        "minibatch",
        listed=False,
    ),
    Mutant(
        "optimizer_forgets",
        TRAIN,
        "self._update_learning_rate(self.policy.optimizer)",
        RESET,
        "parameters",
        note="several updates; the policy gets another optimiser object",
    ),
    Mutant(
        "weights_shrunk_after_update",
        TRAIN,
        "    explained_var = ",
        "    for parameter in self.policy.parameters():\n        parameter.data.mul_(0.999)\n    explained_var = ",
        "action",
        note="several updates",
        listed=False,
    ),
    Mutant(
        "log_std_clamped",
        TRAIN,
        STEP,
        STEP + "            self.policy.log_std.data.clamp_(-0.005, 0.005)\n",
        "new_log_prob",
        note="Box actions",
        listed=False,
    ),
    Mutant(
        "gradients_with_noise",
        TRAIN,
        CLIP,
        CLIP + "            for p in self.policy.parameters():\n                p.grad += 1e-4 * th.randn_like(p)\n",
        "clipped_gradient",
        listed=False,
    ),
    Mutant(
        "learning_rate_divided_by_environments",
        "BaseAlgorithm._update_learning_rate",
        "update_learning_rate(optimizer, self.lr_schedule(self._current_progress_remaining))",
        "update_learning_rate(optimizer, self.lr_schedule(self._current_progress_remaining) / self.n_envs)",
        "learning_rate",
        note="several environments",
        listed=False,
    ),
    Mutant(
        "learning_rate_decays_every_step",
        TRAIN,
        STEP,
        STEP + "            self.policy.optimizer.param_groups[0]['lr'] *= 0.99\n",
        "learning_rate",
        listed=False,
    ),
)
