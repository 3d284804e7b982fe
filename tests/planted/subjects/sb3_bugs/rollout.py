"""Bugs in acting, in the stored transitions, and at the ends of episodes."""

from __future__ import annotations

from tests.planted.subjects.mutation import Edit, Mutant

__all__ = ["MUTANTS"]

COLLECT = "OnPolicyAlgorithm.collect_rollouts"
FORWARD = "ActorCriticPolicy.forward"
EVALUATE = "ActorCriticPolicy.evaluate_actions"
LOG_PROB = "log_prob = distribution.log_prob(actions)"
CLAMPED = (
    "log_prob = distribution.log_prob("
    "th.clamp(actions, th.as_tensor(self.action_space.low), th.as_tensor(self.action_space.high)))"
)
BOX = "Box actions, and samples outside the bounds"
CLIPPED = "np.clip(actions, self.action_space.low, self.action_space.high)"
STEP = "        new_obs, rewards, dones, infos = env.step(clipped_actions)\n"
IS_TIMEOUT = 'and infos[idx].get("TimeLimit.truncated", False)'
TERMINAL_OBS = 'self.policy.obs_to_tensor(infos[idx]["terminal_observation"])[0]'
BOOTSTRAP = "rewards[idx] += self.gamma * terminal_value"
ADD = "        rollout_buffer.add(\n            self._last_obs,  # type: ignore[arg-type]\n"
ADD_ACTIONS = "            actions,\n            rewards,\n"
STARTS = "            self._last_episode_starts,  # type: ignore[arg-type]\n"
ADD_VALUES = "            values,\n            log_probs,\n"
GAUSSIAN = "DiagGaussianDistribution.log_prob"
SUM = "sum_independent_dims(log_prob)"
SWITCHES = "ManySwitches"

MUTANTS = (
    # acting
    Mutant("greedy_actions", COLLECT, "self.policy(obs_tensor)", "self.policy(obs_tensor, True)", "action"),
    Mutant(
        "log_prob_of_second_sample",
        FORWARD,
        LOG_PROB,
        "log_prob = distribution.log_prob(distribution.get_actions())",
        "log_prob",
    ),
    Mutant("log_prob_of_clipped_action", FORWARD, LOG_PROB, CLAMPED, "log_prob", note=BOX),
    Mutant("new_log_prob_of_clipped_action", EVALUATE, LOG_PROB, CLAMPED, "new_log_prob", note=BOX),
    Mutant(
        "tanh_correction_while_learning",
        EVALUATE,
        LOG_PROB,
        LOG_PROB + " - th.log(1 - th.tanh(actions) ** 2 + 1e-6).sum(dim=1)",
        "new_log_prob",
        note="Box actions",
    ),
    Mutant("env_gets_unclipped_actions", COLLECT, CLIPPED, "actions", "env_action", note=BOX),
    Mutant(
        "env_gets_tanh_of_actions",
        COLLECT,
        CLIPPED,
        "self.policy.unscale_action(np.tanh(actions))",
        "env_action",
        note="Box actions",
    ),
    Mutant(
        "env_gets_rescaled_actions",
        COLLECT,
        CLIPPED,
        "self.policy.unscale_action(np.clip(actions, -1, 1))",
        "env_action",
        note="Box actions whose bounds are not -1 and 1",
    ),
    Mutant(
        "log_prob_mean_while_learning",
        EVALUATE,
        LOG_PROB,
        LOG_PROB + " / actions.shape[1]",
        "new_log_prob",
        note="2-D Box",
    ),
    Mutant(
        "mean_squashed_by_tanh",
        "ActorCriticPolicy._get_action_dist_from_latent",
        "mean_actions = self.action_net(latent_pi)",
        "mean_actions = th.tanh(self.action_net(latent_pi))",
        "action",
        note="Box actions",
    ),
    Mutant(
        "probabilities_as_logits",
        "CategoricalDistribution.proba_distribution",
        "Categorical(logits=action_logits)",
        "Categorical(logits=action_logits.softmax(dim=1))",
        "log_prob",
        "CartPole15",
    ),
    Mutant(
        "n_steps_of_all_environments",
        "OnPolicyAlgorithm.__init__",
        "self.n_steps = n_steps",
        "self.n_steps = n_steps // self.n_envs",
        "last_value",
        note="several environments",
    ),
    Mutant(
        "gamma_always_0-99",
        "OnPolicyAlgorithm.__init__",
        "self.gamma = gamma",
        "self.gamma = 0.99",
        "stored_reward",
    ),
    Mutant(
        "action_bounds_of_first_dimension",
        COLLECT,
        CLIPPED,
        "np.clip(actions, self.action_space.low[0], self.action_space.high[0])",
        "env_action",
        note="Box actions whose dimensions have different bounds",
        listed=False,
    ),
    Mutant("torch_drawn_while_acting", COLLECT, STEP, "        th.rand(1)\n" + STEP, "acting_randomness"),
    Mutant("numpy_drawn_while_acting", COLLECT, STEP, "        np.random.rand()\n" + STEP, "acting_randomness"),
    Mutant(
        "epsilon_greedy_actions",
        COLLECT,
        "    actions = actions.cpu().numpy()\n",
        "    actions = actions.cpu().numpy()\n"
        "        if np.random.rand() < 0.1:\n            actions[0] = self.action_space.sample()\n",
        "acting_randomness",
        listed=False,
    ),
    Mutant(
        "log_std_is_log_variance",
        "DiagGaussianDistribution.proba_distribution",
        "log_std.exp()",
        "(0.5 * log_std).exp()",
        "gradient",
        note="Box actions; with the initial log_std of 0 the first divergence is in the gradient",
    ),
    Mutant(
        "std_by_softplus",
        "DiagGaussianDistribution.proba_distribution",
        "log_std.exp()",
        "nn.functional.softplus(log_std)",
        "action",
        note="Box actions",
    ),
    Mutant("log_prob_mean_over_dimensions", GAUSSIAN, SUM, "log_prob.mean(dim=1)", "log_prob", note="2-D Box"),
    Mutant("log_prob_of_first_dimension", GAUSSIAN, SUM, "log_prob[:, 0]", "log_prob", note="2-D Box", listed=False),
    Mutant(
        "log_prob_mean_over_dimensions",
        "MultiCategoricalDistribution.log_prob",
        ".sum(dim=1)",
        ".mean(dim=1)",
        "log_prob",
        SWITCHES,
        "MultiDiscrete actions",
        variant="multidiscrete",
    ),
    Mutant(
        "sampling_temperature_2",
        "CategoricalDistribution.sample",
        "self.distribution.sample()",
        "Categorical(logits=self.distribution.logits / 2).sample()",
        "action",
        "CartPole15",
        "the log-probability is that of temperature 1",
        listed=False,
    ),
    Mutant(
        "action_noise_while_learning",
        "PPO.train",
        "actions = rollout_data.actions\n",
        "actions = rollout_data.actions + 1e-3 * th.randn_like(rollout_data.actions)\n",
        "batch_action",
        note="Box actions; it also draws from torch's generator",
        listed=False,
    ),
    # stored transitions
    Mutant("next_observation_stored", COLLECT, ADD, ADD.replace("self._last_obs", "new_obs"), "stored_observation"),
    Mutant(
        "clipped_action_stored",
        COLLECT,
        ADD_ACTIONS,
        ADD_ACTIONS.replace("            actions,", "            clipped_actions,"),
        "stored_action",
        note=BOX,
    ),
    Mutant(
        "rewards_clipped_with_bootstrap",
        COLLECT,
        ADD_ACTIONS,
        ADD_ACTIONS.replace("rewards", "np.clip(rewards, -1, 1)"),
        "stored_reward",
        SWITCHES,
    ),
    Mutant("rewards_scaled_by_0-1", COLLECT, STEP, STEP + "        rewards = 0.1 * rewards\n", "stored_reward"),
    Mutant("rewards_are_signs", COLLECT, STEP, STEP + "        rewards = np.sign(rewards)\n", "stored_reward"),
    Mutant(
        "rewards_clipped",
        COLLECT,
        STEP,
        STEP + "        rewards = np.clip(rewards, -1, 1)\n",
        "stored_reward",
        SWITCHES,
    ),
    Mutant("episode_starts_one_step_early", COLLECT, STARTS, "            dones,\n", "episode_start"),
    Mutant(
        "episode_starts_lost",
        COLLECT,
        STARTS,
        "            np.zeros_like(self._last_episode_starts),\n",
        "episode_start",
    ),
    Mutant(
        "timeouts_do_not_end_episodes",
        COLLECT,
        "self._last_episode_starts = dones",
        'self._last_episode_starts = dones & [not info.get("TimeLimit.truncated", False) for info in infos]',
        "episode_start",
        note="a time limit",
        also=(Edit(COLLECT, "dones=dones)", "dones=self._last_episode_starts)"),),
    ),
    Mutant(
        "rewards_one_step_late",
        COLLECT,
        ADD_ACTIONS,
        ADD_ACTIONS.replace("rewards", 'getattr(self, "_rewards", np.zeros_like(rewards))'),
        "stored_reward",
        also=(
            Edit(
                COLLECT,
                "        self._last_episode_starts = dones\n",
                "        self._last_episode_starts = dones\n        self._rewards = rewards\n",
            ),
        ),
    ),
    Mutant(
        "log_probs_stored_as_half",
        "RolloutBuffer.add",
        "log_prob.clone().cpu().numpy()",
        "log_prob.half().float().cpu().numpy()",
        "stored_log_prob",
        listed=False,
    ),
    Mutant(
        "observations_stored_as_half",
        "RolloutBuffer.add",
        "self.observations[self.pos] = np.array(obs)",
        "self.observations[self.pos] = np.array(obs, dtype=np.float16)",
        "stored_observation",
        listed=False,
    ),
    Mutant(
        "values_one_step_early",
        "RolloutBuffer.add",
        "self.values[self.pos] = value",
        "self.values[self.pos - 1] = value",
        "stored_value",
        listed=False,
    ),
    # ends of episodes
    Mutant("timeout_is_termination", COLLECT, IS_TIMEOUT, "and False", "stored_reward"),
    Mutant(
        "bootstrap_on_every_done", COLLECT, IS_TIMEOUT, "", "stored_reward", "CartPole15", "episodes that terminate"
    ),
    Mutant(
        "bootstrap_on_termination_only",
        COLLECT,
        IS_TIMEOUT,
        'and not infos[idx].get("TimeLimit.truncated", False)',
        "stored_reward",
    ),
    Mutant(
        "bootstrap_with_reset_observation",
        COLLECT,
        TERMINAL_OBS,
        "obs_as_tensor(new_obs[idx : idx + 1], self.device)",
        "stored_reward",
    ),
    Mutant(
        "bootstrap_with_last_value",
        COLLECT,
        BOOTSTRAP,
        "rewards[idx] += self.gamma * values[idx]",
        "stored_reward",
    ),
    Mutant("bootstrap_undiscounted", COLLECT, BOOTSTRAP, "rewards[idx] += terminal_value", "stored_reward"),
    Mutant(
        "bootstrap_discounted_by_gamma_lambda",
        COLLECT,
        BOOTSTRAP,
        "rewards[idx] += self.gamma * self.gae_lambda * terminal_value",
        "stored_reward",
        listed=False,
    ),
    Mutant(
        "bootstrap_replaces_reward", COLLECT, BOOTSTRAP, "rewards[idx] = self.gamma * terminal_value", "stored_reward"
    ),
    Mutant(
        "bootstrap_in_all_environments",
        COLLECT,
        BOOTSTRAP,
        "rewards += (self.gamma * terminal_value).numpy()",
        "stored_reward",
        note="several environments",
        listed=False,
    ),
    Mutant(
        "acts_on_terminal_observation",
        COLLECT,
        "self._last_obs = new_obs  #",
        'self._last_obs = np.stack([info.get("terminal_observation", obs) for obs, info in zip(new_obs, infos)])  #',
        "observation",
        listed=False,
    ),
    Mutant(
        "environments_reset_between_rollouts",
        COLLECT,
        "    callback.on_rollout_start()\n",
        "    callback.on_rollout_start()\n    if self.num_timesteps:\n        self._last_obs = env.reset()\n"
        "        self._last_episode_starts = np.ones(env.num_envs, dtype=bool)\n",
        "observation",
    ),
    Mutant(
        "reset_observation_ignored",
        COLLECT,
        "self._last_obs = new_obs  #",
        "self._last_obs = np.where(dones[:, None], self._last_obs, new_obs)  #",
        "observation",
        listed=False,
    ),
    Mutant(
        "bootstrap_values_of_actor_features",
        "ActorCriticPolicy.predict_values",
        "self.mlp_extractor.forward_critic(features)",
        "self.mlp_extractor.forward_actor(features)",
        "stored_reward",
        note="only the values of terminal and last observations are wrong",
        listed=False,
    ),
    Mutant(
        "bootstrap_never_negative",
        COLLECT,
        "terminal_value = self.policy.predict_values(terminal_obs)[0]",
        "terminal_value = self.policy.predict_values(terminal_obs)[0].clamp(min=0)",
        "stored_reward",
        listed=False,
    ),
    # state-dependent exploration
    Mutant(
        "sde_noise_drawn_once",
        COLLECT,
        "    if self.use_sde:\n",
        "    if self.use_sde and not self.num_timesteps:\n",
        "action",
        note="use_sde",
        settings={"use_sde": True},
        listed=False,
    ),
    Mutant(
        "sde_noise_drawn_while_learning",
        "PPO.train",
        "            values, log_prob, entropy = self.policy.evaluate_actions",
        "            if self.use_sde:\n                self.policy.reset_noise(self.batch_size)\n"
        "            values, log_prob, entropy = self.policy.evaluate_actions",
        "action",
        note="use_sde",
        settings={"use_sde": True},
    ),
    Mutant(
        "sde_noise_teaches_features",
        "ActorCriticPolicy.__init__",
        '"learn_features": False',
        '"learn_features": True',
        "gradient",
        note="use_sde",
        settings={"use_sde": True},
    ),
    Mutant(
        "environments_reset_twice",
        "BaseAlgorithm._setup_learn",
        "self._last_obs = self.env.reset()",
        "self.env.reset()\n        self._last_obs = self.env.reset()",
        "observation",
        listed=False,
    ),
)
