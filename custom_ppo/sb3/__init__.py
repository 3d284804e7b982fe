"""The algorithms behind SB3's interface; the only part of custom_ppo that knows stable_baselines3."""

from custom_ppo.sb3.a2c import CustomA2C
from custom_ppo.sb3.policy import CnnPolicy, MlpPolicy, MultiInputPolicy
from custom_ppo.sb3.ppo import CustomPPO

__all__ = ["CnnPolicy", "CustomA2C", "CustomPPO", "MlpPolicy", "MultiInputPolicy"]
