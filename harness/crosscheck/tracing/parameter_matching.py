"""Weights and optimisers of an unknown implementation, and their counterparts in a known one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["NamedTensors", "find_optimizers", "match_parameters", "named_parameters", "without_unmatched"]

Array = NDArray[Any]
NamedTensors = list[tuple[str, Tensor]]
NamedShapes = Sequence[tuple[str, tuple[int, ...]]]
Pair = Callable[[int, int], bool]
"""Function that pairs a weight of the other implementation with one of ours, by index; False if the two do not fit."""

_SB3_ACTOR = ("mlp_extractor.policy_net.", "action_net.", "log_std")
_SB3_CRITIC = ("mlp_extractor.value_net.", "value_net.")
"""Prefixes of SB3's names for the two stacks of layers of an MLP policy."""
_ACTOR_WORDS = ("actor", "policy", "pi", "action", "mu", "mean")
_CRITIC_WORDS = ("critic", "value", "vf", "v_", "baseline")
"""Parts of the names that other implementations give to the two stacks."""

_LONGEST_LIST = 64
"""Length above which a list is assumed to hold data, and is not searched for networks."""


def find_optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Return the optimisers among the attributes of a model, and of the objects that it holds, each once."""
    found = [value for _, value in _attributes(model) if isinstance(value, torch.optim.Optimizer)]
    return list({id(optimizer): optimizer for optimizer in found}.values())


def _attributes(model: Any) -> list[tuple[str, Any]]:
    """Return the attributes of a model and of the objects that it holds, with the items of lists and dictionaries."""
    # Two levels, `model.policy.optimizer`, and no more: deeper down are SB3's environments, loggers and callbacks, and
    # through these again the model.
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


def named_parameters(model: Any, optimizers: Iterable[torch.optim.Optimizer]) -> NamedTensors:
    """Return the weights of a model's networks, then those that only an optimiser holds, each once.

    Names are those within the network, preceded by the network's own name if there are several.
    """
    modules = {id(value): (name, value) for name, value in _attributes(model) if isinstance(value, nn.Module)}
    # A model may hold a network and a part of it (`policy` and `policy.actor`): only the outermost names its weights.
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


def without_unmatched(
    own: NamedTensors, optimizers: Sequence[torch.optim.Optimizer], shapes: NamedShapes
) -> tuple[NamedTensors, list[torch.optim.Optimizer]]:
    """Return weights and optimisers without those that have no counterpart, such as a moving average of the weights.

    shapes: names and shapes of the other implementation's weights. If no group of optimisers holds weights of exactly
    these shapes, all weights and optimisers are returned.
    """
    wanted = sorted(_squeezed(shape) for _, shape in shapes)
    if _sorted_shapes(own) != wanted:
        # The largest group first: actor and critic may have an optimiser each, and a curiosity network a third.
        for size in range(len(optimizers), 0, -1):
            for group in combinations(optimizers, size):
                parts = [part for optimizer in group for part in optimizer.param_groups]
                held = {id(tensor) for part in parts for tensor in part["params"]}
                rest = [(name, tensor) for name, tensor in own if id(tensor) in held]
                if _sorted_shapes(rest) == wanted:
                    return rest, list(group)
    return own, list(optimizers)


def _sorted_shapes(parameters: NamedTensors) -> list[tuple[int, ...]]:
    return sorted(_squeezed(tuple(tensor.shape)) for _, tensor in parameters)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without leading ones: a standard deviation is [A] in SB3 and [1, A] in CleanRL."""
    return _squeezed(shape[1:]) if shape[:1] == (1,) else shape


def match_parameters(own: NamedTensors, shapes: NamedShapes, values: Array) -> NamedTensors:
    """Return the weights in the order of another implementation's, under its names.

    shapes, values: names and shapes of the other's weights, and their first values as one vector. If the shapes do not
    match one to one, the weights are returned as they are.
    """
    if _sorted_shapes(own) != sorted(_squeezed(shape) for _, shape in shapes):
        return own
    starts = np.cumsum([0, *(int(np.prod(shape)) for _, shape in shapes)])
    first = [values[starts[index] : starts[index + 1]] for index in range(len(shapes))]
    partner: dict[int, int] = {}  # index of theirs -> index of ours

    def pair(theirs: int, ours: int) -> bool:
        fits = _squeezed(tuple(own[ours][1].shape)) == _squeezed(shapes[theirs][1])
        if fits and theirs not in partner and ours not in partner.values():
            partner[theirs] = ours
            return True
        return False

    # From the strongest evidence to the weakest. Equal initial values prove a pair: same seed, same initialisation. A
    # subject that initialises differently (possibly the bug to be found) has none; then the position in a stack of
    # layers decides, then the name, then the shape. A wrong pair would be reported as a wrong initialisation.
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


def _pair_by_value(own: NamedTensors, shapes: NamedShapes, first: Sequence[Array], pair: Pair) -> None:
    """Pair weights with equal initial values, and with each its bias.

    Biases are zero in all layers, so their values identify none: each is paired with the matrix of its layer.
    """
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


def _same_stacks(own: NamedTensors, shapes: NamedShapes) -> list[tuple[int, int]]:
    """Return pairs of indices (theirs, ours) of actor and critic stacks whose shapes agree from first to last layer."""
    stacks: dict[str, list[int]] = defaultdict(list)
    for index, (name, _) in enumerate(own):
        stacks[name.split(".")[0] if "." in name else ""].append(index)
    pairs: list[tuple[int, int]] = []
    for beginnings, words in ((_SB3_ACTOR, _ACTOR_WORDS), (_SB3_CRITIC, _CRITIC_WORDS)):
        # The standard deviation is not a layer: some implementations keep it inside the actor's network, others do not.
        theirs = [i for i, (name, _) in enumerate(shapes) if name.startswith(beginnings) and "log_std" not in name]
        fitting = [
            (name, ours)
            for name, ours in stacks.items()
            if [tuple(own[i][1].shape) for i in ours] == [shapes[i][1] for i in theirs]
        ]
        # With one action both stacks have the same shapes, and only their names tell them apart.
        fitting.sort(key=lambda found: not any(word in found[0].lower() for word in words))
        if fitting:
            name, ours = fitting[0]
            pairs += zip(theirs, ours, strict=True)
            del stacks[name]
    return pairs
