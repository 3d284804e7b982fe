"""Small cases to train in."""

from __future__ import annotations

from harness.crosscheck.profiles import Case

CASE = Case(
    "CartPole15",
    {"n_steps": 16, "batch_size": 12, "n_epochs": 2, "learning_rate": 1e-2, "clip_range_vf": 0.2, "ent_coef": 0.01},
    n_updates=2,
)
"""32 transitions are three minibatches: 12, 12 and 8."""
N_MINIBATCHES = 2 * 2 * 3
