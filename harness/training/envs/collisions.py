"""MuJoCo models without collisions, which need not look for any.

In InvertedDoublePendulum the search takes a sixth of a step, though no two of its geoms may touch.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["spare_collisions"]


def spare_collisions(env: Any) -> None:
    """Switch the search for collisions off in a Gymnasium environment whose model rules out every collision.

    The physics keep their bits. Other environments are left as they are.
    """
    mujoco = sys.modules.get("mujoco")  # an environment with a model has imported it
    model = getattr(env.unwrapped, "model", None)
    if mujoco is not None and isinstance(model, mujoco.MjModel) and not _may_collide(model):
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)


def _may_collide(model: Any) -> bool:
    """Return True unless no pair of geoms can touch, by MuJoCo's rule for pairs ("Collision detection" in its manual).

    A pair is looked at if it is listed, or if contype of one and conaffinity of the other have a bit in common.
    """
    common = np.bitwise_and.outer(model.geom_contype, model.geom_conaffinity)
    return bool(common.any() or model.npair or model.nflex)
