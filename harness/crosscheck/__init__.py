"""Cross-check: hold the numbers of a PPO against those of SB3's running code."""
