from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam

from harness.crosscheck.tracing.parameter_matching import (
    NamedTensors,
    find_optimizers,
    match_parameters,
    named_parameters,
    without_unmatched,
)

SHAPES = (("mlp_extractor.policy_net.0.weight", (3, 2)), ("mlp_extractor.policy_net.0.bias", (3,)))


def stack(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))


def sb3_like(actor: nn.Module, critic: nn.Module) -> NamedTensors:
    """Return the weights of two stacks under SB3's names."""
    own = []
    for net, head, module in (("policy_net", "action_net", actor), ("value_net", "value_net", critic)):
        for name, tensor in module.named_parameters():
            number, kind = name.split(".")
            own.append((f"mlp_extractor.{net}.0.{kind}" if number == "0" else f"{head}.{kind}", tensor))
    return own


def vector(weights: NamedTensors) -> Any:
    return np.concatenate([tensor.detach().numpy().reshape(-1) for _, tensor in weights])


def shapes(weights: NamedTensors) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(tensor.shape)) for name, tensor in weights]


def same(ours: NamedTensors, theirs: NamedTensors) -> bool:
    """Return True if these are the same tensor objects in the same order."""
    return [id(tensor) for _, tensor in ours] == [id(tensor) for _, tensor in theirs]


def test_optimisers_of_a_model_and_its_parts_are_found_each_once() -> None:
    net = stack()
    first, second = Adam(net.parameters()), SGD(net.parameters())
    model = SimpleNamespace(a=first, b=first, policy=SimpleNamespace(optimizer=second), number=3, kind=Adam)

    assert find_optimizers(model) == [first, second]


def test_optimisers_and_networks_in_a_list_or_a_dictionary_are_found() -> None:
    actor, critic = stack(1), stack(2)
    optimizers = [Adam(actor.parameters()), SGD(critic.parameters())]
    model = SimpleNamespace(nets={"pi": actor, "vf": critic}, learner=SimpleNamespace(optimizers=optimizers))

    assert find_optimizers(model) == optimizers
    names = [name for name, _ in named_parameters(model, optimizers)]
    assert (names[0], names[-1], len(names)) == ("nets.pi.0.weight", "nets.vf.2.bias", 8)


def test_a_model_without_any_has_none() -> None:
    assert find_optimizers(SimpleNamespace()) == []
    assert named_parameters(SimpleNamespace(x=1), []) == []


def test_weights_of_one_network_have_its_own_names() -> None:
    assert [name for name, _ in named_parameters(SimpleNamespace(policy=stack()), [])][:2] == ["0.weight", "0.bias"]


def test_names_of_several_networks_begin_with_the_networks_name() -> None:
    names = [name for name, _ in named_parameters(SimpleNamespace(actor=stack(), critic=stack()), [])]

    assert names[0] == "actor.0.weight"
    assert names[-1] == "critic.2.bias"


def test_a_part_of_a_network_is_not_counted_twice() -> None:
    whole = stack()

    assert len(named_parameters(SimpleNamespace(policy=whole, first=whole[0]), [])) == 4


def test_weights_that_only_an_optimiser_holds_are_found() -> None:
    scale = nn.Parameter(torch.zeros(2))
    found = named_parameters(SimpleNamespace(net=stack()), [Adam([scale])])

    assert [name for name, tensor in found if tensor is scale] == ["parameter 5"]


def test_a_critic_before_the_actor_is_matched_by_its_values() -> None:
    actor, critic = stack(1), stack(2)
    theirs = sb3_like(actor, critic)
    own = named_parameters(SimpleNamespace(critic=critic, actor=actor), [])

    matched = match_parameters(own, shapes(theirs), vector(theirs))

    assert same(matched, theirs)
    assert [name for name, _ in matched] == [name for name, _ in theirs]


def test_stacks_with_other_values_are_matched_by_their_shapes() -> None:
    actor, critic = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    theirs = sb3_like(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    theirs = [(name.replace("_net.1", "_net"), tensor) for name, tensor in theirs]
    own = named_parameters(SimpleNamespace(vf=critic, pi=actor), [])

    matched = match_parameters(own, shapes(theirs), vector(theirs))

    assert same(matched, [*actor.named_parameters(), *critic.named_parameters()])


def test_weights_of_equal_shapes_are_matched_by_their_names() -> None:
    theirs = [("x", torch.zeros(3)), ("y", torch.zeros(3))]
    own: NamedTensors = [("y", torch.zeros(3)), ("x", torch.zeros(3))]

    assert same(match_parameters(own, shapes(theirs), vector(theirs)), own[::-1])


def test_weights_of_other_shapes_stay_as_they_are() -> None:
    own: NamedTensors = [("a", torch.zeros(3)), ("b", torch.zeros(2))]

    assert match_parameters(own, [("x", (2,)), ("y", (4,))], np.zeros(6)) is own


def test_a_moving_average_of_the_weights_is_left_out() -> None:
    net = stack()
    optimizer = Adam(net.parameters())
    own = named_parameters(SimpleNamespace(policy=net, average=stack()), [optimizer])

    kept, optimizers = without_unmatched(own, [optimizer], shapes(list(net.named_parameters())))

    assert same(kept, list(net.named_parameters()))
    assert optimizers == [optimizer]


def test_a_curiosity_network_and_its_optimiser_are_left_out() -> None:
    actor, critic, curiosity = stack(1), stack(2), nn.Linear(2, 7)
    optimizers = [Adam(curiosity.parameters()), Adam(actor.parameters()), Adam(critic.parameters())]
    own = named_parameters(SimpleNamespace(a=actor, b=critic, c=curiosity), optimizers)

    kept, left = without_unmatched(own, optimizers, shapes(sb3_like(actor, critic)))

    assert len(kept) == 8
    assert left == optimizers[1:]


def test_a_weight_that_no_optimiser_holds_stays() -> None:
    net = stack()
    optimizer = Adam(list(net.parameters())[:3])
    own = named_parameters(SimpleNamespace(policy=net), [optimizer])

    assert len(without_unmatched(own, [optimizer], shapes(list(net.named_parameters())))[0]) == 4


def test_all_weights_stay_if_nothing_matches() -> None:
    net = stack()
    own, optimizers = named_parameters(SimpleNamespace(policy=net), []), [Adam(net.parameters())]

    assert without_unmatched(own, optimizers, SHAPES) == (own, optimizers)
