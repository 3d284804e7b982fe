"""Build the vectorised, monitored and normalised environments of a run, equal for all algorithms."""

from harness.training.envs.classes import SB3_CLASSES, VecEnvClasses, lean_classes, save_normalization
from harness.training.envs.vectorized import check_environment, make_eval_env, make_training_env

__all__ = [
    "SB3_CLASSES",
    "VecEnvClasses",
    "check_environment",
    "lean_classes",
    "make_eval_env",
    "make_training_env",
    "save_normalization",
]
