"""Train PPO implementations under identical conditions, check them against SB3, and compare them honestly."""
