"""Finding the weights and optimisers of an implementation that nobody knows, and which of them is whose counterpart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Named", "find_optimizers", "matched_parameters", "named_parameters", "without_bystanders"]

Array = NDArray[Any]
Named = list[tuple[str, Tensor]]
Shapes = Sequence[tuple[str, tuple[int, ...]]]

_ACTOR = ("mlp_extractor.policy_net.", "action_net.", "log_std")
_CRITIC = ("mlp_extractor.value_net.", "value_net.")
"""How SB3's names begin, for the two stacks of layers of an MLP policy."""
_ACTOR_NAMES = ("actor", "policy", "pi", "action", "mu", "mean")
_CRITIC_NAMES = ("critic", "value", "vf", "v_", "baseline")
"""What others call them."""


_LONGEST_LIST = 64
"""Longer ones are data, and hold no networks."""


def find_optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Every optimiser that is an attribute of the model, or of an object that is, each once."""
    found = [value for _, value in _attributes(model) if isinstance(value, torch.optim.Optimizer)]
    return list({id(optimizer): optimizer for optimizer in found}.values())


def _attributes(model: Any) -> list[tuple[str, Any]]:
    """Those of the model, and those of the objects that they are; of a list or a dictionary also what is in it."""
    outer = _unpacked(vars(model).items()) if hasattr(model, "__dict__") else []
    owners = [(name, value) for name, value in outer if hasattr(value, "__dict__") and not isinstance(value, type)]
    inner = [(f"{name}.{part}", value) for name, owner in owners for part, value in vars(owner).items()]
    return outer + _unpacked(inner)


def _unpacked(attributes: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in attributes:
        found.append((name, value))
        if isinstance(value, dict):
            found += [(f"{name}.{key}", part) for key, part in value.items()]
        elif isinstance(value, (list, tuple)) and len(value) <= _LONGEST_LIST:
            found += [(f"{name}.{number}", part) for number, part in enumerate(value)]
    return found


def named_parameters(model: Any, optimizers: Iterable[torch.optim.Optimizer]) -> Named:
    """Weights of the model's networks, then those that only an optimiser knows, each once.

    Names are those within the network; where there are several networks, its own name stands before them.
    """
    modules = {id(value): (name, value) for name, value in _attributes(model) if isinstance(value, nn.Module)}
    inside = {id(part) for _, module in modules.values() for part in module.modules() if part is not module}
    outermost = [(name, module) for key, (name, module) in modules.items() if key not in inside]
    found: dict[int, tuple[str, Tensor]] = {}
    for owner, module in outermost:
        for name, parameter in module.named_parameters():
            found.setdefault(id(parameter), (name if len(outermost) == 1 else f"{owner}.{name}", parameter))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                found.setdefault(id(parameter), (f"parameter {len(found) + 1}", parameter))
    return list(found.values())


def without_bystanders(
    own: Named, optimizers: Sequence[torch.optim.Optimizer], shapes: Shapes
) -> tuple[Named, list[torch.optim.Optimizer]]:
    """Weights and optimisers less those that have no counterpart, such as a moving average or a curiosity network.

    Only where the rest matches the other's shapes one to one; otherwise all stay.
    """
    wanted = sorted(_plain(shape) for _, shape in shapes)
    if _shapes(own) != wanted:
        for size in range(len(optimizers), 0, -1):
            for group in combinations(optimizers, size):
                parts = [part for optimizer in group for part in optimizer.param_groups]
                held = {id(tensor) for part in parts for tensor in part["params"]}
                rest = [(name, tensor) for name, tensor in own if id(tensor) in held]
                if _shapes(rest) == wanted:
                    return rest, list(group)
    return own, list(optimizers)


def _shapes(parameters: Named) -> list[tuple[int, ...]]:
    return sorted(_plain(tuple(tensor.shape)) for _, tensor in parameters)


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without leading ones: a standard deviation [1, A] is one of [A]."""
    return _plain(shape[1:]) if shape[:1] == (1,) else shape


def matched_parameters(own: Named, shapes: Shapes, values: Array) -> Named:
    """The weights in the order of another implementation's, under its names.

    shapes, values: names and shapes of the other's weights, and their first values as one vector. Counterparts have
    the same first values; where these differ, the same place in a stack of layers; or else the same name, or at least
    the same shape. Where the shapes do not match one to one, the weights stay as they are.
    """
    if _shapes(own) != sorted(_plain(shape) for _, shape in shapes):
        return own
    starts = np.cumsum([0, *(int(np.prod(shape)) for _, shape in shapes)])
    first = [values[starts[index] : starts[index + 1]] for index in range(len(shapes))]
    partner: dict[int, int] = {}  # index of theirs -> index of ours

    def pair(theirs: int, ours: int) -> bool:
        fits = _plain(tuple(own[ours][1].shape)) == _plain(shapes[theirs][1])
        if fits and theirs not in partner and ours not in partner.values():
            partner[theirs] = ours
            return True
        return False

    _pair_by_value(own, shapes, first, pair)
    for theirs, ours in _same_stacks(own, shapes):
        pair(theirs, ours)
    ours_by_name = {name: index for index, (name, _) in enumerate(own)}
    for theirs, (name, _) in enumerate(shapes):
        if name in ours_by_name:
            pair(theirs, ours_by_name[name])
    for theirs, (_, shape) in enumerate(shapes):
        any(pair(theirs, ours) for ours in range(len(own)) if tuple(own[ours][1].shape) == shape)
    for theirs in range(len(shapes)):
        any(pair(theirs, ours) for ours in range(len(own)))
    return [(shapes[theirs][0], own[partner[theirs]][1]) for theirs in range(len(shapes))]


def _pair_by_value(own: Named, shapes: Shapes, first: Sequence[Array], pair: Any) -> None:
    """Weights with the same numbers, and with each its bias, which is zero in all layers."""
    biases = {name: index for index, (name, _) in enumerate(own)}
    theirs_by_name = {name: index for index, (name, _) in enumerate(shapes)}
    for theirs, value in enumerate(first):
        if not value.any():
            continue
        for ours, (name, tensor) in enumerate(own):
            same = tuple(tensor.shape) == shapes[theirs][1] and np.array_equal(
                tensor.detach().cpu().numpy().reshape(-1), value
            )
            if same and pair(theirs, ours):
                bias = theirs_by_name.get(shapes[theirs][0].removesuffix("weight") + "bias")
                own_bias = biases.get(name.removesuffix("weight") + "bias")
                if bias is not None and own_bias is not None:
                    pair(bias, own_bias)
                break


def _same_stacks(own: Named, shapes: Shapes) -> list[tuple[int, int]]:
    """Actor with actor and critic with critic: stacks of layers whose shapes agree from the first to the last."""
    stacks: dict[str, list[int]] = defaultdict(list)
    for index, (name, _) in enumerate(own):
        stacks[name.split(".")[0] if "." in name else ""].append(index)
    pairs: list[tuple[int, int]] = []
    for beginnings, hints in ((_ACTOR, _ACTOR_NAMES), (_CRITIC, _CRITIC_NAMES)):
        theirs = [i for i, (name, _) in enumerate(shapes) if name.startswith(beginnings) and "log_std" not in name]
        fitting = [
            (name, ours)
            for name, ours in stacks.items()
            if [tuple(own[i][1].shape) for i in ours] == [shapes[i][1] for i in theirs]
        ]
        # With one action both stacks have the same shapes, and only what they are called tells them apart.
        fitting.sort(key=lambda found: not any(hint in found[0].lower() for hint in hints))
        if fitting:
            name, ours = fitting[0]
            pairs += zip(theirs, ours, strict=True)
            del stacks[name]
    return pairs
