"""Registered names of algorithms and the classes behind them. To register an algorithm, add it to `REGISTERED`."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BORROWED", "DEFAULT_POLICIES", "DEVIANTS", "REGISTERED", "ZOO_FILES"]

REGISTERED: Mapping[str, str] = {
    "custom_ppo": "custom_ppo.sb3:CustomPPO",
    "custom_a2c": "custom_ppo.sb3:CustomA2C",
    "ppo": "stable_baselines3:PPO",
    "a2c": "stable_baselines3:A2C",
    "dqn": "stable_baselines3:DQN",
    "sac": "stable_baselines3:SAC",
    "td3": "stable_baselines3:TD3",
    "ddpg": "stable_baselines3:DDPG",
    "ars": "sb3_contrib:ARS",
    "maskable_ppo": "sb3_contrib:MaskablePPO",
    "trpo": "sb3_contrib:TRPO",
    "recurrent_ppo": "sb3_contrib:RecurrentPPO",
    "qrdqn": "sb3_contrib:QRDQN",
    "tqc": "sb3_contrib:TQC",
    "crossq": "sb3_contrib:CrossQ",
}
"""Registered name -> "module:Class": a new algorithm is a line here, and in `BORROWED` if it equals one of SB3's.

MaskablePPO needs an environment with a method `action_masks()`. ARS trains whole generations of
episodes, and therefore far beyond a small budget.
"""

BORROWED: Mapping[str, str] = {"custom_ppo": "ppo", "custom_a2c": "a2c"}
"""Algorithm -> SB3's equivalent, whose hyperparameters it borrows unless the file has some for the algorithm itself."""

ZOO_FILES: Mapping[str, str] = {**BORROWED, "maskable_ppo": "ppo", "recurrent_ppo": "ppo_lstm"}
"""Registered name -> stem of rl_zoo3's hyperparameter file, if it differs from the name."""

DEFAULT_POLICIES: Mapping[str, str] = {"recurrent_ppo": "MlpLstmPolicy"}
"""Registered name -> policy of an experiment without hyperparameters, if it is not MlpPolicy."""

DEVIANTS: Mapping[str, str] = {
    "custom_ppo": "harness.catalogue.deviant:DeviantPPO",
    "custom_a2c": "harness.catalogue.deviant:DeviantA2C",
}
"""Registered name -> class that trains it with deviations of the catalogue, given as the argument `deviations`."""
