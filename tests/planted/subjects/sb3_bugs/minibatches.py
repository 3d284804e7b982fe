"""Bugs in the composition, order and number of minibatches."""

from __future__ import annotations

from tests.planted.subjects.mutation import Mutant

__all__ = ["MUTANTS"]

GET = "RolloutBuffer.get"
SAMPLES = "RolloutBuffer._get_samples"
PERMUTATION = "indices = np.random.permutation(self.buffer_size * self.n_envs)"
N = "self.buffer_size * self.n_envs"
FLATTEN = "self.__dict__[tensor] = self.swap_and_flatten(self.__dict__[tensor])"
EPOCHS = "for epoch in range(self.n_epochs):"

MUTANTS = (
    Mutant("minibatches_not_shuffled", GET, PERMUTATION, f"indices = np.arange({N})", "minibatch"),
    Mutant("shuffled_by_torch", GET, PERMUTATION, f"indices = th.randperm({N}).numpy()", "minibatch"),
    Mutant(
        "shuffled_by_own_generator",
        GET,
        PERMUTATION,
        f'if not hasattr(self, "rng"):\n        self.rng = np.random.default_rng(0)\n'
        f"    indices = self.rng.permutation({N})",
        "minibatch",
    ),
    Mutant(
        "sampled_with_replacement",
        GET,
        PERMUTATION,
        f"indices = np.random.randint(0, {N}, size={N})",
        "minibatch",
    ),
    Mutant(
        "shuffled_once_per_update",
        GET,
        PERMUTATION,
        f"if not self.generator_ready:\n        self.indices = np.random.permutation({N})\n    indices = self.indices",
        "minibatch",
        note="several epochs",
    ),
    Mutant(
        "shuffled_in_place",
        GET,
        PERMUTATION,
        f"if not self.generator_ready:\n        self.indices = np.arange({N})\n"
        "    np.random.shuffle(self.indices)\n    indices = self.indices",
        "minibatch",
        note="several epochs",
    ),
    Mutant(
        "shuffled_in_place_for_ever",
        GET,
        PERMUTATION,
        f'if not hasattr(self, "indices"):\n        self.indices = np.arange({N})\n'
        "    np.random.shuffle(self.indices)\n    indices = self.indices",
        "minibatch",
        note="several epochs",
    ),
    Mutant(
        "last_partial_minibatch_dropped",
        GET,
        "while start_idx < self.buffer_size * self.n_envs:",
        "while start_idx + batch_size <= self.buffer_size * self.n_envs:",
        "minibatch",
        note="a batch size that does not divide the rollout",
    ),
    Mutant(
        "one_minibatch_per_epoch",
        GET,
        "        start_idx += batch_size",
        "        return",
        "minibatch",
    ),
    Mutant(
        "whole_rollout_is_one_minibatch",
        "PPO.train",
        "self.rollout_buffer.get(self.batch_size)",
        "self.rollout_buffer.get()",
        "minibatch",
    ),
    Mutant(
        "batch_size_is_number_of_minibatches",
        "PPO.train",
        "self.rollout_buffer.get(self.batch_size)",
        "self.rollout_buffer.get(self.n_steps * self.n_envs // self.batch_size)",
        "minibatch",
    ),
    Mutant(
        "batch_size_always_64",
        "PPO.train",
        "self.rollout_buffer.get(self.batch_size)",
        "self.rollout_buffer.get(64)",
        "minibatch",
    ),
    Mutant("one_epoch", "PPO.train", EPOCHS, "for epoch in range(1):", "minibatch"),
    Mutant("one_epoch_less", "PPO.train", EPOCHS, "for epoch in range(self.n_epochs - 1):", "minibatch"),
    Mutant("one_epoch_more", "PPO.train", EPOCHS, "for epoch in range(self.n_epochs + 1):", "minibatch"),
    Mutant(
        "minibatches_overlap",
        GET,
        "start_idx += batch_size",
        "start_idx += batch_size // 2",
        "minibatch",
        listed=False,
    ),
    Mutant(
        "last_transition_of_minibatch_dropped",
        GET,
        "indices[start_idx : start_idx + batch_size]",
        "indices[start_idx : start_idx + batch_size - 1]",
        "minibatch",
        listed=False,
    ),
    Mutant(
        "minibatches_sorted",
        GET,
        "indices[start_idx : start_idx + batch_size]",
        "np.sort(indices[start_idx : start_idx + batch_size])",
        "minibatch",
        note="the same transitions in another order, so that sums are rounded differently",
        listed=False,
    ),
    Mutant(
        "flattened_by_time",
        "BaseBuffer.swap_and_flatten",
        "arr.swapaxes(0, 1).reshape",
        "arr.reshape",
        "batch_observation",
        note="several environments; all arrays alike, which amounts to another permutation",
    ),
    Mutant(
        "advantages_flattened_by_time",
        GET,
        FLATTEN,
        f"{FLATTEN} if tensor != 'advantages' else self.__dict__[tensor].reshape(-1, 1)",
        "batch_advantage",
        note="several environments",
    ),
    Mutant(
        "old_values_flattened_by_time",
        GET,
        FLATTEN,
        f"{FLATTEN} if tensor != 'values' else self.__dict__[tensor].reshape(-1, 1)",
        "old_value",
        note="several environments, clip_range_vf",
        listed=False,
    ),
    Mutant(
        "actions_of_sorted_indices",
        SAMPLES,
        "self.actions[batch_inds]",
        "self.actions[np.sort(batch_inds)]",
        "batch_action",
        listed=False,
    ),
    Mutant(
        "returns_of_previous_minibatch",
        SAMPLES,
        "self.returns[batch_inds].flatten()",
        "self.returns[batch_inds - len(batch_inds)].flatten()",
        "batch_return",
        listed=False,
    ),
    Mutant(
        "advantages_sliced_by_position",
        SAMPLES,
        "self.advantages[batch_inds].flatten()",
        "self.advantages[: len(batch_inds)].flatten()",
        "batch_advantage",
        listed=False,
    ),
    Mutant(
        "old_log_prob_recomputed_per_epoch",
        "PPO.train",
        "        # Do a complete pass on the rollout buffer\n",
        "        if epoch > 0:\n"
        "            with th.no_grad():\n"
        "                buffer = self.rollout_buffer\n"
        "                actions = th.as_tensor(buffer.actions)\n"
        "                if isinstance(self.action_space, spaces.Discrete):\n"
        "                    actions = actions.flatten()\n"
        "                buffer.log_probs = self.policy.evaluate_actions(\n"
        "                    th.as_tensor(buffer.observations), actions)[1].numpy()[:, None]\n",
        "old_log_prob",
        note="several epochs",
    ),
    Mutant(
        "first_update_skipped",
        "OnPolicyAlgorithm.learn",
        "        self.train()\n",
        "        if iteration > 1:\n            self.train()\n",
        "minibatch",
        listed=False,
    ),
    Mutant(
        "two_updates_per_rollout",
        "OnPolicyAlgorithm.learn",
        "        self.train()\n",
        "        self.train()\n        self.train()\n",
        "minibatch",
        listed=False,
    ),
    Mutant(
        "low_returns_left_out",
        SAMPLES,
        "    data = (\n",
        "    good = self.returns[batch_inds].flatten() > np.quantile(self.returns, 0.02)\n"
        "    batch_inds = batch_inds[good]\n    data = (\n",
        "batch_observation",
        listed=False,
    ),
)
