"""Steps of SB3's VecFrameStack and VecTransposeImage to the same bits, with fewer passes over the images."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["stacking_step", "transposing_step"]

Results = tuple[Any, NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]
StepFunction = Callable[[NDArray[Any]], Results]

_INTEGERS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def stacking_step(stacked: Any, step: StepFunction) -> StepFunction:
    """Return the function that stacks the observations of a step, as VecFrameStack.step_wait does.

    stacked: the StackedObservations of a VecFrameStack; step: function for the environments that it wraps.
    """

    def stacking(actions: NDArray[Any]) -> Results:
        observations, rewards, dones, infos = step(actions)
        if True in dones.tolist():
            observations, infos = stacked.update(observations, dones, infos)
            return observations, rewards, dones, infos
        stacked.stacked_obs = _pushed(stacked.stacked_obs, observations, stacked.stack_dimension)
        return stacked.stacked_obs, rewards, dones, infos

    return stacking


def _pushed(stack: NDArray[Any], frames: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return a new stack without its oldest frames along an axis, 1 or -1, and with these at the end."""
    n = frames.shape[axis]
    new = np.empty_like(stack)
    integers = _pixels(stack)
    if axis == -1 and integers is not None and n < stack.shape[-1]:
        # One shift moves all channels of a pixel, where slices would move byte after byte.
        np.right_shift(integers, 8 * n, _pixels(new))
    elif axis == -1:
        new[..., :-n] = stack[..., n:]
    else:
        new[:, :-n] = stack[:, n:]
    if axis == -1:
        new[..., -n:] = frames
    else:
        new[:, -n:] = frames
    return new


def _pixels(stack: NDArray[Any]) -> NDArray[Any] | None:
    """Return a view of bytes [..., C] with one integer for the C channels of a pixel, or None if there is none."""
    integer = _INTEGERS.get(stack.shape[-1])
    if integer is None or stack.dtype != np.uint8 or not stack.flags.c_contiguous or sys.byteorder != "little":
        return None
    return stack.view(integer)


def transposing_step(env: Any, step: StepFunction) -> StepFunction:
    """Return the function that moves the channels of images first, as the step_wait of a VecTransposeImage does.

    step: function for the environments that env wraps.
    """

    def transposing(actions: NDArray[Any]) -> Results:
        observations, rewards, dones, infos = step(actions)
        if True in dones.tolist():
            for index in np.flatnonzero(dones):
                info = infos[index]
                if "terminal_observation" in info:
                    info["terminal_observation"] = env.transpose_observations(info["terminal_observation"])
        return env.transpose_observations(observations), rewards, dones, infos

    return transposing
