from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam

from harness.crosscheck.tracing.parameter_matching import (
    Named,
    find_optimizers,
    matched_parameters,
    named_parameters,
    without_bystanders,
)

SHAPES = (("mlp_extractor.policy_net.0.weight", (3, 2)), ("mlp_extractor.policy_net.0.bias", (3,)))


def stack(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))


def sb3_like(actor: nn.Module, critic: nn.Module) -> Named:
    """The weights of two stacks under SB3's names."""
    own = []
    for net, head, module in (("policy_net", "action_net", actor), ("value_net", "value_net", critic)):
        for name, tensor in module.named_parameters():
            number, kind = name.split(".")
            own.append((f"mlp_extractor.{net}.0.{kind}" if number == "0" else f"{head}.{kind}", tensor))
    return own


def vector(weights: Named) -> Any:
    return np.concatenate([tensor.detach().numpy().reshape(-1) for _, tensor in weights])


def shapes(weights: Named) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(tensor.shape)) for name, tensor in weights]


def same(ours: Named, theirs: Named) -> bool:
    """Whether it is the very same tensors in the same order."""
    return [id(tensor) for _, tensor in ours] == [id(tensor) for _, tensor in theirs]


def test_optimisers_are_found_on_the_model_and_on_what_it_owns_each_once() -> None:
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


def test_weights_of_several_networks_begin_with_theirs() -> None:
    names = [name for name, _ in named_parameters(SimpleNamespace(actor=stack(), critic=stack()), [])]

    assert names[0] == "actor.0.weight"
    assert names[-1] == "critic.2.bias"


def test_a_part_of_a_network_is_not_counted_twice() -> None:
    whole = stack()

    assert len(named_parameters(SimpleNamespace(policy=whole, first=whole[0]), [])) == 4


def test_weights_that_only_an_optimiser_knows_are_found() -> None:
    scale = nn.Parameter(torch.zeros(2))
    found = named_parameters(SimpleNamespace(net=stack()), [Adam([scale])])

    assert [name for name, tensor in found if tensor is scale] == ["parameter 5"]


def test_a_critic_that_stands_before_the_actor_is_recognised_by_its_numbers() -> None:
    actor, critic = stack(1), stack(2)
    theirs = sb3_like(actor, critic)
    own = named_parameters(SimpleNamespace(critic=critic, actor=actor), [])

    matched = matched_parameters(own, shapes(theirs), vector(theirs))

    assert same(matched, theirs)
    assert [name for name, _ in matched] == [name for name, _ in theirs]


def test_stacks_with_other_numbers_are_recognised_by_their_shapes() -> None:
    actor, critic = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    theirs = sb3_like(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    theirs = [(name.replace("_net.1", "_net"), tensor) for name, tensor in theirs]
    own = named_parameters(SimpleNamespace(vf=critic, pi=actor), [])

    matched = matched_parameters(own, shapes(theirs), vector(theirs))

    assert same(matched, [*actor.named_parameters(), *critic.named_parameters()])


def test_where_nothing_else_tells_the_name_does() -> None:
    theirs = [("x", torch.zeros(3)), ("y", torch.zeros(3))]
    own: Named = [("y", torch.zeros(3)), ("x", torch.zeros(3))]

    assert same(matched_parameters(own, shapes(theirs), vector(theirs)), own[::-1])


def test_weights_of_other_shapes_stay_as_they_are() -> None:
    own: Named = [("a", torch.zeros(3)), ("b", torch.zeros(2))]

    assert matched_parameters(own, [("x", (2,)), ("y", (4,))], np.zeros(6)) is own


def test_a_moving_average_of_the_weights_is_a_bystander() -> None:
    net = stack()
    optimizer = Adam(net.parameters())
    own = named_parameters(SimpleNamespace(policy=net, average=stack()), [optimizer])

    kept, optimizers = without_bystanders(own, [optimizer], shapes(list(net.named_parameters())))

    assert same(kept, list(net.named_parameters()))
    assert optimizers == [optimizer]


def test_a_curiosity_network_and_its_optimiser_are_bystanders() -> None:
    actor, critic, curiosity = stack(1), stack(2), nn.Linear(2, 7)
    optimizers = [Adam(curiosity.parameters()), Adam(actor.parameters()), Adam(critic.parameters())]
    own = named_parameters(SimpleNamespace(a=actor, b=critic, c=curiosity), optimizers)

    kept, left = without_bystanders(own, optimizers, shapes(sb3_like(actor, critic)))

    assert len(kept) == 8
    assert left == optimizers[1:]


def test_a_weight_that_no_optimiser_has_is_no_bystander() -> None:
    net = stack()
    optimizer = Adam(list(net.parameters())[:3])
    own = named_parameters(SimpleNamespace(policy=net), [optimizer])

    assert len(without_bystanders(own, [optimizer], shapes(list(net.named_parameters())))[0]) == 4


def test_where_nothing_matches_all_stay() -> None:
    net = stack()
    own, optimizers = named_parameters(SimpleNamespace(policy=net), []), [Adam(net.parameters())]

    assert without_bystanders(own, optimizers, SHAPES) == (own, optimizers)
