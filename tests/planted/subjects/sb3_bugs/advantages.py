"""Bugs in advantages and returns, and in the values that they are bootstrapped with."""

from __future__ import annotations

from tests.planted.subjects.mutation import Mutant

__all__ = ["MUTANTS"]

COLLECT = "OnPolicyAlgorithm.collect_rollouts"
GAE = "RolloutBuffer.compute_returns_and_advantage"
LAST_VALUES = "values = self.policy.predict_values(obs_as_tensor(new_obs, self.device))"
RETURNS = "self.returns = self.advantages + self.values"
DELTA = "self.gamma * next_values * next_non_terminal - self.values[step]"
RECURSION = "self.gamma * self.gae_lambda * next_non_terminal * last_gae_lam"
NOT_LAST = "next_non_terminal = 1.0 - self.episode_starts[step + 1]"

MONTE_CARLO = """last_return = last_values
    for step in reversed(range(self.buffer_size)):
        starts = dones if step == self.buffer_size - 1 else self.episode_starts[step + 1]
        last_return = self.rewards[step] + self.gamma * (1.0 - starts) * last_return
        self.returns[step] = last_return"""
ONE_STEP = """next_values = np.concatenate([self.values[1:], last_values[None]])
    starts = np.concatenate([self.episode_starts[1:], dones[None].astype(np.float32)])
    self.returns = self.rewards + self.gamma * next_values * (1.0 - starts)"""
NORMALISED = "self.advantages = (self.advantages - self.advantages.mean()) / (self.advantages.std() + 1e-8)"

MUTANTS = (
    Mutant("last_values_zero", COLLECT, LAST_VALUES, "values = th.zeros_like(values)", "last_value"),
    Mutant("last_values_are_stored_ones", COLLECT, LAST_VALUES, "values = values", "last_value"),
    Mutant(
        "final_dones_ignored",
        COLLECT,
        "last_values=values, dones=dones",
        "last_values=values, dones=np.zeros_like(dones)",
        "advantage",
        "Pendulum20",
        "an episode that ends at the last step of a rollout",
    ),
    Mutant(
        "rollout_ends_episodes",
        COLLECT,
        "last_values=values, dones=dones",
        "last_values=values, dones=np.ones_like(dones)",
        "advantage",
    ),
    Mutant("gae_done_mask_missing", GAE, NOT_LAST, "next_non_terminal = 1.0", "advantage"),
    Mutant("gae_done_mask_missing_in_delta", GAE, DELTA, DELTA.replace("next_non_terminal", "1.0"), "advantage"),
    Mutant(
        "gae_done_mask_missing_in_recursion", GAE, RECURSION, RECURSION.replace("next_non_terminal", "1.0"), "advantage"
    ),
    Mutant("gae_masked_by_own_start", GAE, NOT_LAST, NOT_LAST.replace("step + 1", "step"), "advantage"),
    Mutant(
        "gae_next_value_off_by_one",
        GAE,
        "next_values = self.values[step + 1]",
        "next_values = self.values[min(step + 2, self.buffer_size - 1)]",
        "advantage",
        listed=False,
    ),
    Mutant("gae_lambda_missing_in_recursion", GAE, RECURSION, RECURSION.replace("self.gae_lambda", "1.0"), "advantage"),
    Mutant("gae_gamma_missing_in_recursion", GAE, RECURSION, RECURSION.replace("self.gamma", "1.0"), "advantage"),
    Mutant("gae_gamma_missing_in_delta", GAE, DELTA, DELTA.replace("self.gamma", "1.0"), "advantage"),
    Mutant(
        "gae_gamma_squared_in_recursion",
        GAE,
        RECURSION,
        RECURSION.replace("self.gamma", "self.gamma**2"),
        "advantage",
        listed=False,
    ),
    Mutant(
        "gamma_and_lambda_swapped",
        "OnPolicyAlgorithm._setup_model",
        "gamma=self.gamma,\n        gae_lambda=self.gae_lambda,",
        "gamma=self.gae_lambda,\n        gae_lambda=self.gamma,",
        "advantage",
    ),
    Mutant(
        "memory_keeps_default_discounts",
        "OnPolicyAlgorithm._setup_model",
        "        gamma=self.gamma,\n        gae_lambda=self.gae_lambda,\n",
        "",
        "advantage",
    ),
    Mutant("gae_lambda_always_0-95", GAE, "self.gae_lambda * ", "0.95 * ", "advantage"),
    Mutant(
        "gae_starts_from_last_values",
        GAE,
        "last_gae_lam = 0",
        "last_gae_lam = last_values",
        "advantage",
        listed=False,
    ),
    Mutant(
        "last_values_one_step_early",
        GAE,
        "if step == self.buffer_size - 1:",
        "if step >= self.buffer_size - 2:",
        "advantage",
        listed=False,
    ),
    Mutant(
        "last_values_of_other_environment",
        GAE,
        "next_values = last_values",
        "next_values = last_values[::-1]",
        "advantage",
        note="several environments",
        listed=False,
    ),
    Mutant(
        "gae_delta_averaged_over_environments",
        GAE,
        "last_gae_lam = delta + ",
        "last_gae_lam = np.mean(delta) + ",
        "advantage",
        note="several environments",
        listed=False,
    ),
    Mutant(
        "advantages_are_td_errors",
        GAE,
        "self.advantages[step] = last_gae_lam",
        "self.advantages[step] = delta",
        "advantage",
    ),
    Mutant(
        "advantages_clipped",
        GAE,
        RETURNS,
        "np.clip(self.advantages, -1, 1, self.advantages)\n    " + RETURNS,
        "advantage",
        listed=False,
    ),
    Mutant(
        "rewards_normalised_per_rollout",
        GAE,
        "    last_gae_lam = 0\n",
        "    last_gae_lam = 0\n    self.rewards = (self.rewards - self.rewards.mean()) / (self.rewards.std() + 1e-7)\n",
        "advantage",
    ),
    Mutant("returns_monte_carlo", GAE, RETURNS, MONTE_CARLO, "return"),
    Mutant("returns_of_one_step", GAE, RETURNS, ONE_STEP, "return"),
    Mutant("returns_without_values", GAE, RETURNS, "self.returns = self.advantages.copy()", "return"),
    Mutant("advantages_normalised_before_returns", GAE, RETURNS, f"{NORMALISED}\n    {RETURNS}", "advantage"),
    Mutant(
        "returns_of_normalised_advantages",
        GAE,
        RETURNS,
        RETURNS.replace(
            "self.advantages", "(self.advantages - self.advantages.mean()) / (self.advantages.std() + 1e-8)"
        ),
        "return",
    ),
    Mutant(
        "returns_normalised",
        GAE,
        RETURNS,
        f"{RETURNS}\n    self.returns = (self.returns - self.returns.mean()) / (self.returns.std() + 1e-8)",
        "return",
    ),
    Mutant(
        "returns_of_next_values",
        GAE,
        RETURNS,
        "self.returns = self.advantages + np.concatenate([self.values[1:], last_values[None]])",
        "return",
        listed=False,
    ),
)
