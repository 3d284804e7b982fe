from __future__ import annotations

import pytest

from harness.errors import UnknownNameError
from harness.training.environment_trial import try_environment
from harness.training.findings import Finding
from tests.harness.odd_environments import NAMES


def found(name: str, env_kwargs: object = None) -> list[str]:
    return [
        ("" if finding.is_problem else "note: ") + finding.message
        for finding in try_environment(NAMES[name], env_kwargs)
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "OldStep",
            "step() returns 4 values, as in old gym; Gymnasium's returns observation, reward, term",
        ),
        ("OldReset", "reset() takes no seed, as in old gym; Gymnasium's is reset(*, seed=None, options=None)"),
        ("NoInfo", "reset() must return (observation, info), where info is a dict; old gym returned the observation"),
        ("NanReward", "the reward in step 1 is nan"),
        ("InfiniteObservation", "the observation at the reset holds inf"),
        ("Unseeded", "note: two episodes under one seed differ: its runs cannot be repeated exactly"),
        (
            "Outside",
            "note: an observation of shape (2,) and type float32 lies outside of its space Box(-1.0",
        ),
        ("Unbounded", "note: its actions have no bounds; a policy starts with actions around 0, so rescale them to"),
        ("Wide", "note: its actions lie in [0, 255]; a policy starts around 0 with deviation 1: rescale to [-1, 1]"),
        ("Raises", "tests.harness.odd_environments:Raises-v0 cannot be built: RuntimeError: no rotor"),
    ],
)
def test_each_mistake_of_an_environment_is_named(name: str, message: str) -> None:
    (first,) = found(name)

    assert first.startswith(message)


@pytest.mark.parametrize("env_id", [NAMES["Plain"], "CartPole-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_an_environment_without_mistakes_gives_no_findings(env_id: str) -> None:
    assert try_environment(env_id, None) == []


def test_a_misspelt_argument_is_corrected_and_its_key_is_known() -> None:
    assert try_environment(NAMES["Plain"], {"siz": 3}) == [
        Finding(f"{NAMES['Plain']} has no argument siz, did you mean size?", NAMES["Plain"], key="env_kwargs")
    ]
    assert found("Plain", {"size": 3}) == []


def test_an_unknown_environment_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"'CartPol-v1' is not registered with gymnasium, did you mean CartPole"):
        try_environment("CartPol-v1", None)
