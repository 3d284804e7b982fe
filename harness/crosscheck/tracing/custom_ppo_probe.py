"""CustomPPO seen through its parts: each is a function of its recipe or a method of its agent, and so can be wrapped.

All numbers of the loss have names here. Under the fused engine the parts that it has written out are not called, and
so are not seen; their gradients are.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from custom_ppo import CustomPPO
from custom_ppo.agent import Engine, Step
from custom_ppo.fused import FusedEngine
from custom_ppo.recipe import log_prob_objective
from harness.crosscheck.tracing.optimizer_probe import Descent
from harness.crosscheck.tracing.recorder import Recorder
from harness.crosscheck.tracing.sb3_probe import BATCH, STORED, replaced

__all__ = ["is_fused", "watch_custom"]

TERMS = ("policy_loss", "value_loss", "entropy_loss", "loss")


def is_fused(model: CustomPPO) -> bool:
    """Whether its update will not go through autograd, so that hooks must keep away."""
    return isinstance(model.choose_engine(), FusedEngine)


def watch_custom(model: CustomPPO, recorder: Recorder, descent: Descent) -> None:
    """See everything; is_fused decides how gradients are seen."""
    fused = is_fused(model)
    _watch_acting(model, recorder)
    _watch_memory(model, recorder)
    minibatches: deque[Any] = deque()
    _watch_engine(model, recorder, minibatches)
    _watch_recipe(model, recorder, minibatches, whole=not fused)
    if fused:
        model.agent.observer = lambda stage: descent.see_gradients() if stage == "gradient" else descent.see_step()
    else:
        _watch_evaluation(model, recorder)
        descent.watch()


def _watch_acting(model: CustomPPO, recorder: Recorder) -> None:
    act = model.agent.act

    def seen_act(observations: Any) -> Step:
        step = act(observations)
        recorder.acts("observation", observations)
        actions = recorder.acts("action", step.actions)
        values, log_probs = recorder.acts("value", step.values), recorder.acts("log_prob", step.log_probs)
        if recorder.feed is None:
            return step
        return Step(
            actions.reshape(step.actions.shape), step.env_actions, torch.as_tensor(values), torch.as_tensor(log_probs)
        )

    model.agent.act = seen_act  # type: ignore[method-assign]


def _watch_memory(model: CustomPPO, recorder: Recorder) -> None:
    memory: Any = model.rollout_buffer
    add = memory.add

    def seen_add(*args: Any, **kwargs: Any) -> None:
        position = memory.position
        add(*args, **kwargs)
        for name, quantity in STORED.items():
            row = getattr(memory, name)
            if isinstance(row, dict):
                recorder.saw(quantity, {key: array[position] for key, array in row.items()})
            else:
                row[position] = recorder.saw(quantity, row[position])

    memory.add = seen_add


def _watch_engine(model: CustomPPO, recorder: Recorder, minibatches: deque[Any]) -> None:
    """The terms of the loss; a new engine may be chosen before every update.

    minibatches: indices of those that are still to come in this epoch.
    """
    choose = model.choose_engine
    watched: list[Any] = []

    def seen_choice() -> Engine:
        engine: Any = choose()
        if not watched or watched[-1] is not engine:
            watched[:] = [engine]
            engine.forward = seen_forward(engine.forward)
        return engine  # type: ignore[no-any-return]

    def seen_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(batch: Any, *args: Any, **kwargs: Any) -> Any:
            if minibatches:
                recorder.learns("minibatch", minibatches.popleft())
            for name, quantity in BATCH.items():
                recorder.learns(quantity, getattr(batch, name))
            terms = forward(batch, *args, **kwargs)
            for name in TERMS:
                recorder.learns(name, getattr(terms, name))
            return terms

        return wrapped

    model.choose_engine = seen_choice  # type: ignore[method-assign]


def _watch_evaluation(model: CustomPPO, recorder: Recorder) -> None:
    evaluate_actions = model.policy.evaluate_actions

    def seen(obs: Any, actions: Tensor) -> Any:
        values, log_prob, entropy = evaluate_actions(obs, actions)
        if not torch.is_grad_enabled():
            return values, log_prob, entropy
        values = replaced(recorder, values, recorder.learns("new_value", values))
        log_prob = replaced(recorder, log_prob, recorder.learns("new_log_prob", log_prob))
        if entropy is not None:
            entropy = replaced(recorder, entropy, recorder.learns("entropy", entropy))
        return values, log_prob, entropy

    model.policy.evaluate_actions = seen  # type: ignore[method-assign]


def _watch_recipe(model: CustomPPO, recorder: Recorder, minibatches: deque[Any], *, whole: bool) -> None:
    """Wrap the parts. whole: also those that the fused engine has written out."""
    agent, recipe = model.agent, model.agent.recipe

    def advantages(rewards: Any, values: Any, starts: Any, last_values: Any, dones: Any, **kwargs: Any) -> Any:
        last_values = recorder.saw("last_value", last_values)
        found, returns = recipe.advantages(rewards, values, starts, last_values, dones, **kwargs)
        return recorder.saw("advantage", found), recorder.saw("return", returns)

    def minibatch_order(n: int) -> Any:
        indices = recipe.minibatch_order(n)
        size = model.batch_size or len(indices)
        minibatches.clear()
        for number, start in enumerate(range(0, len(indices), size)):
            part = indices[start : start + size]
            part[...] = recorder.fed(recorder.step, recorder.minibatch + number, "minibatch", part)
            minibatches.append(part)
        return indices

    def normalize_advantages(found: Tensor) -> Tensor:
        normalized = recipe.normalize_advantages(found)
        recorder.learns("normalized_advantage", normalized)
        return normalized

    def objective(log_prob: Tensor, old_log_prob: Tensor, found: Tensor, limit: float) -> Tensor:
        recorder.learns("normalized_advantage", found)
        if recipe.policy_loss.objective is not log_prob_objective:
            recorder.learns("ratio", torch.exp(log_prob - old_log_prob))
        surrogate = recipe.policy_loss.objective(log_prob, old_log_prob, found, limit)
        recorder.learns("surrogate", surrogate)
        return surrogate

    def value_loss(returns: Tensor, values: Tensor) -> Tensor:
        recorder.learns("predicted_value", values)
        return recipe.value_loss(returns, values)

    parts: dict[str, Any] = {"advantages": advantages, "minibatch_order": minibatch_order}
    parts["normalize_advantages"] = normalize_advantages
    if whole:
        parts |= {"policy_loss": recipe.policy_loss.replace(objective=objective), "value_loss": value_loss}
    agent.recipe = dataclasses.replace(recipe, **parts)
