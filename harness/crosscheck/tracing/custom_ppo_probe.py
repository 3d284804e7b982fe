"""Probe of CustomPPO: each part is a function of its recipe or a method of its agent, and can be wrapped.

Every term of the loss is recorded by name. The fused engine calls none of the recipe's parts that it computes itself:
these are not recorded under it, but the gradients are.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from custom_ppo import CustomPPO
from custom_ppo.agent import Step
from custom_ppo.engines import Engine, FusedEngine
from custom_ppo.recipe import log_prob_objective
from harness.crosscheck.tracing.optimizer_probe import OptimizerProbe
from harness.crosscheck.tracing.recorder import Recorder
from harness.crosscheck.tracing.sb3_probe import BATCH, record_evaluation, record_stored

__all__ = ["probe_custom_ppo", "uses_fused_engine"]

_TERMS = ("policy_loss", "value_loss", "entropy_loss", "loss")


def uses_fused_engine(model: CustomPPO) -> bool:
    """Return True if updates bypass autograd, so that hooks must not be attached: the engine would fall back."""
    return isinstance(model.choose_engine(), FusedEngine)


def probe_custom_ppo(model: CustomPPO, recorder: Recorder, optimizer_probe: OptimizerProbe) -> None:
    """Wrap all parts of a model, to record by name every quantity that its engine computes."""
    fused = uses_fused_engine(model)
    _probe_acting(model, recorder)
    _probe_memory(model, recorder)
    minibatches: deque[Any] = deque()
    _probe_engine(model, recorder, minibatches)
    _probe_recipe(model, recorder, minibatches, with_loss=not fused)
    if fused:
        events = {"gradient": optimizer_probe.record_gradients, "step": optimizer_probe.record_step}
        model.agent.observer = lambda stage: events[stage]()
    else:
        _probe_evaluation(model, recorder)
        optimizer_probe.attach()


def _probe_acting(model: CustomPPO, recorder: Recorder) -> None:
    act = model.agent.act

    def recorded_act(observations: Any) -> Step:
        step = act(observations)
        recorder.record_upcoming("observation", observations)
        actions = recorder.record_upcoming("action", step.actions)
        values = recorder.record_upcoming("value", step.values)
        log_probs = recorder.record_upcoming("log_prob", step.log_probs)
        if recorder.fed_from is None:
            return step
        # env_actions stay the model's own: in a fed run the environments ignore them.
        return Step(
            actions.reshape(step.actions.shape), step.env_actions, torch.as_tensor(values), torch.as_tensor(log_probs)
        )

    model.agent.act = recorded_act  # type: ignore[method-assign]


def _probe_memory(model: CustomPPO, recorder: Recorder) -> None:
    memory: Any = model.rollout_buffer
    add = memory.add

    def recorded_add(*args: Any, **kwargs: Any) -> None:
        position = memory.position
        add(*args, **kwargs)
        record_stored(memory, position, recorder)

    memory.add = recorded_add


def _probe_engine(model: CustomPPO, recorder: Recorder, minibatches: deque[Any]) -> None:
    """Record minibatches and the terms of the loss.

    minibatches: index arrays of the epoch's remaining minibatches, filled where the recipe draws their order.
    """
    choose = model.choose_engine
    wrapped: list[Any] = []

    # The model may choose another engine before every update (hooks or settings may have changed), so the engine is
    # wrapped where it is chosen, and each engine only once.
    def recorded_choice() -> Engine:
        engine: Any = choose()
        if not wrapped or wrapped[-1] is not engine:
            wrapped[:] = [engine]
            engine.forward = recorded_forward(engine.forward)
        return engine  # type: ignore[no-any-return]

    def recorded_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(batch: Any, *args: Any, **kwargs: Any) -> Any:
            if minibatches:
                recorder.record_minibatch("minibatch", minibatches.popleft())
            for name, quantity in BATCH.items():
                recorder.record_minibatch(quantity, getattr(batch, name))
            terms = forward(batch, *args, **kwargs)
            for name in _TERMS:
                recorder.record_minibatch(name, getattr(terms, name))
            return terms

        return recorded

    model.choose_engine = recorded_choice  # type: ignore[method-assign]


def _probe_evaluation(model: CustomPPO, recorder: Recorder) -> None:
    evaluate_actions = model.policy.evaluate_actions

    def recorded(obs: Any, actions: Tensor) -> Any:
        values, log_prob, entropy = evaluate_actions(obs, actions)
        if not torch.is_grad_enabled():
            return values, log_prob, entropy
        return record_evaluation(recorder, values, log_prob, entropy)

    model.policy.evaluate_actions = recorded  # type: ignore[method-assign]


def _probe_recipe(model: CustomPPO, recorder: Recorder, minibatches: deque[Any], *, with_loss: bool) -> None:
    """Wrap the recipe's parts; with_loss: also those of the loss, which the fused engine computes itself."""
    agent, recipe = model.agent, model.agent.recipe

    def advantages(rewards: Any, values: Any, starts: Any, last_values: Any, dones: Any, **kwargs: Any) -> Any:
        last_values = recorder.record_step("last_value", last_values)
        found, returns = recipe.advantages(rewards, values, starts, last_values, dones, **kwargs)
        return recorder.record_step("advantage", found), recorder.record_step("return", returns)

    # The order of a whole epoch is drawn at once. In a fed run it is overwritten in place, since the agent cuts this
    # same array into minibatches. An epoch that stops early leaves parts over, which the next epoch drops.
    def minibatch_order(n: int) -> Any:
        indices = recipe.minibatch_order(n)
        size = model.batch_size or len(indices)
        minibatches.clear()
        for number, start in enumerate(range(0, len(indices), size)):
            part = indices[start : start + size]
            part[...] = recorder.fed_array(recorder.step, recorder.minibatch + number, "minibatch", part)
            minibatches.append(part)
        return indices

    def normalize_advantages(found: Tensor) -> Tensor:
        normalized = recipe.normalize_advantages(found)
        recorder.record_minibatch("normalized_advantage", normalized)
        return normalized

    def objective(log_prob: Tensor, old_log_prob: Tensor, found: Tensor, limit: float) -> Tensor:
        recorder.record_minibatch("normalized_advantage", found)  # also where the recipe does not normalise them
        if recipe.policy_loss.objective is not log_prob_objective:  # that of A2C has no ratio
            recorder.record_minibatch("ratio", torch.exp(log_prob - old_log_prob))
        surrogate = recipe.policy_loss.objective(log_prob, old_log_prob, found, limit)
        recorder.record_minibatch("surrogate", surrogate)
        return surrogate

    def value_loss(returns: Tensor, values: Tensor) -> Tensor:
        recorder.record_minibatch("predicted_value", values)
        return recipe.value_loss(returns, values)

    parts: dict[str, Any] = {"advantages": advantages, "minibatch_order": minibatch_order}
    parts["normalize_advantages"] = normalize_advantages
    if with_loss:
        parts |= {"policy_loss": recipe.policy_loss.replace(objective=objective), "value_loss": value_loss}
    agent.recipe = dataclasses.replace(recipe, **parts)
