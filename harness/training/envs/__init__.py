"""Environments as the algorithms see them: vectorised, monitored, normalised, the same for all of them."""

from harness.training.envs.vectorized import check_environment, make_eval_env, make_training_env

__all__ = ["check_environment", "make_eval_env", "make_training_env"]
