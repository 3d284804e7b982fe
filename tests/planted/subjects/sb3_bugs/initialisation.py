"""Bugs in initial weights, architecture, seeds, optimiser settings and schedules."""

from __future__ import annotations

from tests.planted.subjects.mutation import Edit, Mutant

__all__ = ["MUTANTS"]

BUILD = "ActorCriticPolicy._build"
OPTIMIZER = "self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)"
SGD = "th.optim.SGD(self.parameters(), lr=lr_schedule(1)"
CLIP_RANGE = "clip_range = self.clip_range(self._current_progress_remaining)"
CLIP_RANGE_VF = "clip_range_vf = self.clip_range_vf(self._current_progress_remaining)"
PROGRESS = "        self._update_current_progress_remaining(self.num_timesteps, total_timesteps)\n"
TRAIN = "        self.train()\n"

MUTANTS = (
    # initial weights and architecture
    Mutant("action_layer_gain_1", BUILD, "self.action_net: 0.01", "self.action_net: 1", "initial_parameters"),
    Mutant(
        "action_layer_gain_0-1",
        BUILD,
        "self.action_net: 0.01",
        "self.action_net: 0.1",
        "initial_parameters",
        listed=False,
    ),
    Mutant(
        "action_layer_gain_sqrt_2", BUILD, "self.action_net: 0.01", "self.action_net: np.sqrt(2)", "initial_parameters"
    ),
    Mutant("value_layer_gain_sqrt_2", BUILD, "self.value_net: 1,", "self.value_net: np.sqrt(2),", "initial_parameters"),
    Mutant(
        "all_layer_gains_1",
        BUILD,
        "partial(self.init_weights, gain=gain)",
        "self.init_weights",
        "initial_parameters",
    ),
    Mutant(
        "layers_initialised_by_xavier",
        "BasePolicy.init_weights",
        "nn.init.orthogonal_(module.weight, gain=gain)",
        "nn.init.xavier_uniform_(module.weight)",
        "initial_parameters",
    ),
    Mutant("value_layer_gain_0-01", BUILD, "self.value_net: 1,", "self.value_net: 0.01,", "initial_parameters"),
    Mutant(
        "hidden_layers_gain_1", BUILD, "self.mlp_extractor: np.sqrt(2)", "self.mlp_extractor: 1", "initial_parameters"
    ),
    Mutant("layers_initialised_by_default", BUILD, "if self.ortho_init:", "if False:", "initial_parameters"),
    Mutant(
        "biases_keep_default",
        "BasePolicy.init_weights",
        "module.bias.data.fill_(0.0)",
        "pass",
        "initial_parameters",
    ),
    Mutant(
        "log_std_init_-0-5",
        BUILD,
        "latent_dim=latent_dim_pi, log_std_init=self.log_std_init",
        "latent_dim=latent_dim_pi, log_std_init=-0.5",
        "initial_parameters",
        note="Box actions",
    ),
    Mutant(
        "value_layer_initialised_twice",
        BUILD,
        "            module.apply(partial(self.init_weights, gain=gain))",
        "            module.apply(partial(self.init_weights, gain=gain))\n        self.init_weights(self.value_net)",
        "initial_parameters",
    ),
    Mutant(
        "relu",
        "ActorCriticPolicy._build_mlp_extractor",
        "activation_fn=self.activation_fn",
        "activation_fn=nn.ReLU",
        "action",
    ),
    Mutant(
        "shared_hidden_layers",
        "ActorCriticPolicy._build_mlp_extractor",
        "net_arch=self.net_arch",
        "net_arch={'pi': self.net_arch['pi']}",
        "initial_parameters",
        also=(
            Edit(
                "ActorCriticPolicy._build_mlp_extractor",
                "        device=self.device,\n    )",
                "        device=self.device,\n    )\n"
                "    self.mlp_extractor.value_net = self.mlp_extractor.policy_net\n"
                "    self.mlp_extractor.latent_dim_vf = self.mlp_extractor.latent_dim_pi",
            ),
        ),
    ),
    Mutant(
        "one_hidden_layer",
        "ActorCriticPolicy._build_mlp_extractor",
        "net_arch=self.net_arch",
        "net_arch=[64]",
        "initial_parameters",
    ),
    Mutant(
        "hidden_layers_of_256",
        "ActorCriticPolicy._build_mlp_extractor",
        "net_arch=self.net_arch",
        "net_arch=[256, 256]",
        "initial_parameters",
    ),
    Mutant(
        "hidden_layers_of_32",
        "ActorCriticPolicy._build_mlp_extractor",
        "net_arch=self.net_arch",
        "net_arch=[32, 32]",
        "initial_parameters",
        listed=False,
    ),
    Mutant(
        "torch_seeded_after_networks",
        "OnPolicyAlgorithm._setup_model",
        "    self.policy = self.policy.to(self.device)\n",
        "    self.policy = self.policy.to(self.device)\n    th.manual_seed(self.seed)\n",
        "action",
    ),
    Mutant(
        "seeded_after_networks",
        "OnPolicyAlgorithm._setup_model",
        "    self.set_random_seed(self.seed)\n",
        "",
        "initial_parameters",
        also=(
            Edit(
                "OnPolicyAlgorithm._setup_model",
                "    self.policy = self.policy.to(self.device)\n",
                "    self.policy = self.policy.to(self.device)\n    self.set_random_seed(self.seed)\n",
            ),
        ),
        note="initial weights depend on the random numbers that the process drew before",
        listed=False,
    ),
    Mutant(
        "network_seed_shifted",
        "BaseAlgorithm.set_random_seed",
        "set_random_seed(seed, using_cuda",
        "set_random_seed(seed + 1, using_cuda",
        "initial_parameters",
        listed=False,
    ),
    Mutant(
        "environments_share_seed",
        "BaseAlgorithm.set_random_seed",
        "self.env.seed(seed)",
        "self.env.unwrapped._seeds = [seed] * self.env.num_envs",
        "observation",
        note="several environments",
    ),
    # optimiser
    Mutant("adam_eps_1e-8", "ActorCriticPolicy.__init__", '["eps"] = 1e-5', '["eps"] = 1e-8', "parameters"),
    Mutant("adam_eps_1e-7", "ActorCriticPolicy.__init__", '["eps"] = 1e-5', '["eps"] = 1e-7', "parameters"),
    Mutant(
        "rmsprop_for_adam",
        BUILD,
        OPTIMIZER,
        "th.optim.RMSprop(self.parameters(), lr=lr_schedule(1), alpha=0.99, eps=1e-5)",
        "parameters",
    ),
    Mutant("sgd", BUILD, OPTIMIZER, "th.optim.SGD(self.parameters(), lr=lr_schedule(1))", "parameters"),
    Mutant(
        "adamw",
        BUILD,
        OPTIMIZER,
        "th.optim.AdamW(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)",
        "parameters",
    ),
    Mutant(
        "adam_weight_decay_1e-4",
        BUILD,
        "**self.optimizer_kwargs)",
        "weight_decay=1e-4, **self.optimizer_kwargs)",
        "parameters",
    ),
    Mutant("sgd_with_momentum", BUILD, OPTIMIZER, f"{SGD}, momentum=0.9)", "parameters"),
    Mutant(
        "adam_beta2_0-99",
        BUILD,
        "**self.optimizer_kwargs)",
        "betas=(0.9, 0.99), **self.optimizer_kwargs)",
        "optimizer_state",
        note="Adam's bias correction hides it in the first step: the weights differ after the second",
    ),
    Mutant(
        "adam_beta1_0-5",
        BUILD,
        "**self.optimizer_kwargs)",
        "betas=(0.5, 0.999), **self.optimizer_kwargs)",
        "optimizer_state",
        note="Adam's bias correction hides it in the first step: the weights differ after the second",
    ),
    Mutant(
        "adam_amsgrad",
        BUILD,
        "**self.optimizer_kwargs)",
        "amsgrad=True, **self.optimizer_kwargs)",
        "optimizer_state",
        note="the weights differ once a second moment has fallen",
    ),
    Mutant(
        "log_std_not_in_optimizer",
        BUILD,
        "self.optimizer_class(self.parameters(),",
        'self.optimizer_class([p for n, p in self.named_parameters() if n != "log_std"],',
        "clipped_gradient",
        note="Box actions",
    ),
    Mutant(
        "critic_not_in_optimizer",
        BUILD,
        "self.optimizer_class(self.parameters(),",
        'self.optimizer_class([p for n, p in self.named_parameters() if "value_net" not in n],',
        "clipped_gradient",
        listed=False,
    ),
    # schedules
    Mutant(
        "learning_rate_not_annealed",
        "PPO.train",
        "self._update_learning_rate(self.policy.optimizer)",
        "pass",
        "learning_rate",
        "CartPole15",
        "a schedule for the learning rate",
    ),
    Mutant(
        "learning_rate_always_3e-4",
        "BaseAlgorithm._update_learning_rate",
        "update_learning_rate(optimizer, self.lr_schedule(self._current_progress_remaining))",
        "update_learning_rate(optimizer, 3e-4)",
        "learning_rate",
    ),
    Mutant(
        "learning_rate_reversed",
        "BaseAlgorithm._update_learning_rate",
        "update_learning_rate(optimizer, self.lr_schedule(self._current_progress_remaining))",
        "update_learning_rate(optimizer, self.lr_schedule(1 - self._current_progress_remaining))",
        "learning_rate",
        "CartPole15",
        "a schedule for the learning rate",
        listed=False,
    ),
    Mutant(
        "schedules_one_update_late",
        "OnPolicyAlgorithm.learn",
        PROGRESS,
        "",
        "learning_rate",
        "CartPole15",
        "schedules",
        also=(Edit("OnPolicyAlgorithm.learn", TRAIN, TRAIN + PROGRESS),),
    ),
    Mutant(
        "schedules_stand_still", "OnPolicyAlgorithm.learn", PROGRESS, "", "learning_rate", "CartPole15", "schedules"
    ),
    Mutant(
        "schedules_reversed",
        "BaseAlgorithm._update_current_progress_remaining",
        "1.0 - float(num_timesteps)",
        "float(num_timesteps)",
        "learning_rate",
        "CartPole15",
        "schedules",
    ),
    Mutant(
        "schedules_count_one_environment",
        "BaseAlgorithm._update_current_progress_remaining",
        "float(num_timesteps)",
        "float(num_timesteps // self.n_envs)",
        "learning_rate",
        "CartPole15",
        "schedules",
        listed=False,
    ),
    Mutant(
        "clip_range_not_annealed",
        "PPO.train",
        CLIP_RANGE,
        "clip_range = self.clip_range(1.0)",
        "surrogate",
        "CartPole15",
        "a schedule for the clip range, and ratios that reach it",
    ),
    Mutant("clip_range_always_0-2", "PPO.train", CLIP_RANGE, "clip_range = 0.2", "surrogate"),
    Mutant(
        "clip_range_vf_is_clip_range",
        "PPO.train",
        CLIP_RANGE_VF,
        "clip_range_vf = clip_range",
        "predicted_value",
    ),
)
