"""Algorithms behind SB3's interface; the only part of custom_ppo that imports stable_baselines3."""

from custom_ppo.sb3.a2c import CustomA2C
from custom_ppo.sb3.interchange import ModelFileError
from custom_ppo.sb3.policy import CnnPolicy, MlpPolicy, MultiInputPolicy
from custom_ppo.sb3.ppo import CustomPPO
from custom_ppo.sb3.resume import ExactCheckpoint
from custom_ppo.sb3.stepping import LeanVecEnv, LeanVecNormalize

__all__ = [
    "CnnPolicy",
    "CustomA2C",
    "CustomPPO",
    "ExactCheckpoint",
    "LeanVecEnv",
    "LeanVecNormalize",
    "MlpPolicy",
    "ModelFileError",
    "MultiInputPolicy",
]
