"""Build the vectorised, monitored and normalised environments of a run, equal for all algorithms."""

from harness.training.envs.vectorized import check_environment, make_eval_env, make_training_env

__all__ = ["check_environment", "make_eval_env", "make_training_env"]
