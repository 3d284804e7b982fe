"""Wrong ways to compute advantages that people have published, each as custom_ppo's `gae` of changed inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from custom_ppo.gae import gae
from harness.checks.case import Array, Inputs, Mistake, Outputs

__all__ = ["MISTAKES", "TIMEOUT_MISTAKES", "next_values"]


def _named(advantages: Array, returns: Array) -> Outputs:
    return {"advantages": advantages, "returns": returns}


def _gae(inputs: Inputs, **changes: Any) -> tuple[Array, Array]:
    return gae(**{**inputs, **changes})


def _with(change: Callable[[Inputs], Mapping[str, Any]]) -> Mistake:
    """GAE of other inputs."""
    return lambda inputs: _named(*_gae(inputs, **change(inputs)))


def _returns(returns: Callable[[Inputs, Array], Array]) -> Mistake:
    """GAE's advantages, and other returns."""

    def mistake(inputs: Inputs) -> Outputs:
        advantages, _ = _gae(inputs)
        return _named(advantages, returns(inputs, advantages))

    return mistake


def _recursion(
    decay: Callable[[Inputs], float] = lambda inputs: inputs["gamma"] * inputs["gae_lambda"],
    *,
    masked: bool = True,
    deltas: Callable[[Inputs], Array] = lambda inputs: _gae(inputs, gae_lambda=0.0)[0],
) -> Mistake:
    """A_t = delta_t + decay * A_{t+1} with another delta, decay or mask."""

    def mistake(inputs: Inputs) -> Outputs:
        nothing = np.zeros_like(inputs["values"])
        ends = {} if masked else {"episode_starts": nothing, "dones": np.zeros_like(inputs["dones"])}
        advantages, _ = _gae(
            {**inputs, **ends},
            rewards=deltas(inputs),
            values=nothing,
            last_values=nothing[0],
            gamma=decay(inputs),
            gae_lambda=1.0,
        )
        return _named(advantages, advantages + inputs["values"])

    return mistake


def _no_ends(inputs: Inputs) -> Mapping[str, Any]:
    return {"episode_starts": np.zeros_like(inputs["episode_starts"]), "dones": np.zeros_like(inputs["dones"])}


def _one_step_early(inputs: Inputs) -> Mapping[str, Any]:
    starts = inputs["episode_starts"]
    return {"episode_starts": np.vstack([starts[:1], starts[:-1]]), "dones": starts[-1]}


def _following(inputs: Inputs) -> Array:
    return np.vstack([inputs["values"][1:], inputs["last_values"]])


def _deltas_without_discount(inputs: Inputs) -> Array:
    return _gae(inputs, gamma=1.0, gae_lambda=0.0)[0]


def _deltas_unmasked(inputs: Inputs) -> Array:
    return _gae(inputs, gae_lambda=0.0, **_no_ends(inputs))[0]


def _deltas_without_value(inputs: Inputs) -> Array:
    return np.asarray(_gae(inputs, gae_lambda=0.0)[1])


def _standardized(advantages: Array) -> Array:
    return np.asarray((advantages - advantages.mean()) / (advantages.std() + 1e-8))


def _normalized(advantages_only: bool) -> Mistake:
    def mistake(inputs: Inputs) -> Outputs:
        advantages, returns = _gae(inputs)
        normalized = _standardized(advantages)
        return _named(normalized, returns if advantages_only else normalized + inputs["values"])

    return mistake


def _unbiased_normalized(inputs: Inputs) -> Outputs:
    advantages, returns = _gae(inputs)
    return _named((advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8), returns)


def _without_last_step(inputs: Inputs) -> Outputs:
    advantages, _ = _gae(
        inputs,
        rewards=np.vstack([inputs["rewards"][:-1], inputs["values"][-1:]]),
        last_values=np.zeros_like(inputs["last_values"]),
    )
    return _named(advantages, advantages + inputs["values"])


def _forwards(inputs: Inputs) -> Outputs:
    """The recursion from the first step to the last."""
    deltas = _gae(inputs, gae_lambda=0.0)[0]
    flags = np.vstack([inputs["episode_starts"][1:], inputs["dones"]]).astype(np.float32)
    backwards = {
        "rewards": deltas[::-1],
        "values": np.zeros_like(deltas),
        # Each step is masked by its own flag, and in `gae` row t + 1 masks step t.
        "episode_starts": np.vstack([np.zeros_like(flags[:1]), flags[::-1][:-1]]),
        "last_values": np.zeros_like(deltas[0]),
        "dones": np.ones_like(inputs["dones"]),
    }
    advantages = gae(**backwards, gamma=inputs["gamma"], gae_lambda=inputs["gae_lambda"])[0][::-1]
    return _named(advantages, advantages + inputs["values"])


def _exchanged(inputs: Inputs) -> Outputs:
    advantages, returns = _gae(inputs)
    return _named(returns, advantages)


MISTAKES: Mapping[str, Mistake] = {
    "no done mask: values and advantages flow back across the end of an episode": _with(_no_ends),
    "the recursion is not masked: advantages flow back across the end of an episode (delta is right)": _recursion(
        masked=False
    ),
    "delta is not masked: V of the next episode's first state counts as the future of this one": _recursion(
        deltas=_deltas_unmasked
    ),
    "the mask is one step early: episode_starts[t] where episode_starts[t + 1] belongs": _with(_one_step_early),
    "the mask is one step early, but for the last step: episode_starts[t] where episode_starts[t + 1] belongs": _with(
        lambda inputs: {"episode_starts": _one_step_early(inputs)["episode_starts"]}
    ),
    "episode_starts are ignored: only the end of the rollout is masked": _with(
        lambda inputs: {"episode_starts": np.zeros_like(inputs["episode_starts"])}
    ),
    "`dones`, the flag after the last step, is ignored": _with(
        lambda inputs: {"dones": np.zeros_like(inputs["dones"])}
    ),
    "the last value is taken as zero, as if the rollout ended every episode": _with(
        lambda inputs: {"last_values": np.zeros_like(inputs["last_values"])}
    ),
    "the last step is bootstrapped from its own value, values[-1] in the place of last_values": _with(
        lambda inputs: {"last_values": inputs["values"][-1]}
    ),
    "gamma is missing in the recursion: lambda alone": _recursion(lambda inputs: inputs["gae_lambda"]),
    "gamma is missing in delta: r + V(next) - V": _recursion(deltas=_deltas_without_discount),
    "gamma is never applied": _with(lambda inputs: {"gamma": 1.0}),
    "gamma and lambda are exchanged": _with(
        lambda inputs: {"gamma": inputs["gae_lambda"], "gae_lambda": inputs["gamma"]}
    ),
    "lambda is missing in the recursion, as if it were 1: discounted returns minus values": _with(
        lambda inputs: {"gae_lambda": 1.0}
    ),
    "the recursion is missing, as if lambda were 0: the error of one step, r + gamma V(next) - V": _with(
        lambda inputs: {"gae_lambda": 0.0}
    ),
    "V(s) is not subtracted in delta": _recursion(deltas=_deltas_without_value),
    "the step after the last is left out: the last step's advantage is 0": _without_last_step,
    "the recursion runs forwards in time": _forwards,
    "the returned advantages are normalised; SB3 does that later, for each minibatch": _normalized(True),
    "the returned advantages are normalised (n - 1); SB3 does that later, for each minibatch": _unbiased_normalized,
    "returns are computed from normalised advantages; add V before normalising": _normalized(False),
    "returns lack + V: they are the advantages": _returns(lambda inputs, advantages: advantages),
    "returns have - V where + V belongs": _returns(lambda inputs, advantages: advantages - inputs["values"]),
    "returns are Monte-Carlo (lambda 1) where they should be TD(lambda): advantages + V": _returns(
        lambda inputs, advantages: _gae(inputs, gae_lambda=1.0)[1]
    ),
    "returns are one-step targets, r + gamma V(next), where they should be TD(lambda): advantages + V": _returns(
        lambda inputs, advantages: _gae(inputs, gae_lambda=0.0)[1]
    ),
    "returns are discounted sums of rewards without the last value": _returns(
        lambda inputs, advantages: _gae(
            inputs,
            gae_lambda=1.0,
            values=np.zeros_like(inputs["values"]),
            last_values=np.zeros_like(inputs["last_values"]),
        )[0]
    ),
    "returns use the next state's value: advantages + V(next)": _returns(
        lambda inputs, advantages: advantages + _following(inputs)
    ),
    "advantages and returns are in the wrong order": _exchanged,
}


def next_values(
    values: Array, last_values: Array, terminal_values: Array, terminations: Array, truncations: Array, **_: Any
) -> Array:
    """V of the state that each step led to, before any reset, [T, N]."""
    return np.where(terminations | truncations, terminal_values, np.vstack([values[1:], last_values]))


def _as_rollout(inputs: Inputs, ends: Array, bootstraps: Array) -> dict[str, Any]:
    """What SB3 would keep, if these steps ended an episode and those added gamma * V(terminal state)."""
    flags = ends.astype(np.float32)
    bonus = inputs["gamma"] * inputs["terminal_values"] * bootstraps
    return {
        "rewards": (inputs["rewards"] + bonus).astype(np.float32),
        "values": inputs["values"],
        "episode_starts": np.vstack([np.zeros_like(flags[:1]), flags[:-1]]),
        "last_values": inputs["last_values"],
        "dones": ends[-1],
        "gamma": inputs["gamma"],
        "gae_lambda": inputs["gae_lambda"],
    }


def _timeouts_as(ends: Callable[[Inputs], Array], bootstraps: Callable[[Inputs], Array]) -> Mistake:
    return lambda inputs: _named(*gae(**_as_rollout(inputs, ends(inputs), bootstraps(inputs))))


def _any_end(inputs: Inputs) -> Array:
    return np.asarray(inputs["terminations"] | inputs["truncations"])


def _cut(inputs: Inputs) -> Array:
    return np.asarray(inputs["truncations"] & ~inputs["terminations"])


def _never(inputs: Inputs) -> Array:
    return np.zeros_like(inputs["truncations"])


def _recursion_across(uncut: Callable[[Inputs], Array], bootstraps: Callable[[Inputs], Array]) -> Mistake:
    """The right deltas (but for the bootstraps), and a recursion that is cut at other steps."""

    def mistake(inputs: Inputs) -> Outputs:
        rollout = _as_rollout(inputs, _any_end(inputs), bootstraps(inputs))
        cut = _as_rollout(inputs, _any_end(inputs) & ~uncut(inputs), _never(inputs))
        nothing = np.zeros_like(rollout["values"])
        deltas, _ = gae(**{**rollout, "gae_lambda": 0.0})
        advantages, _ = gae(**{**cut, "rewards": deltas, "values": nothing, "last_values": nothing[0]})
        return _named(advantages, advantages + rollout["values"])

    return mistake


TIMEOUT_MISTAKES: Mapping[str, Mistake] = {
    "a time limit counts as a termination: gamma * V(terminal state) is missing": _timeouts_as(_any_end, _never),
    "terminations are bootstrapped, too: V(terminal state) counts at every end": _timeouts_as(_any_end, _any_end),
    "a step that both ends and is cut is bootstrapped; a termination has no future": _timeouts_as(
        _any_end, lambda inputs: inputs["truncations"]
    ),
    "the recursion runs across time limits: advantages leak back into the episode that was cut": _recursion_across(
        _cut, _cut
    ),
    "time limits are ignored: the next episode's first value and advantages count as the future": _timeouts_as(
        lambda inputs: inputs["terminations"], _never
    ),
    "no mask at all: values and advantages flow across every end": _recursion_across(_any_end, _any_end),
}
