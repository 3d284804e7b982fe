"""Engine of the compiled kernels: acting, and whole epochs of an update in one call, to the bits of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_ppo.config import UpdateConfig
from custom_ppo.engines.acting import torch_is_watched
from custom_ppo.engines.engine import Actor, UpdateReport
from custom_ppo.engines.features import flat_features
from custom_ppo.engines.fused import FusedEngine
from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.actor import NativeActor, make_actor
from custom_ppo.engines.native.learner import Learner, Transitions
from custom_ppo.memory import Batch

__all__ = ["NativeEngine"]


class NativeEngine(FusedEngine):
    """Fused engine whose epochs and actions come from compiled kernels; see `coverage.reason_against`.

    Its minibatches, one by one, are those of the fused engine. They are made so if a method of this object is wrapped,
    to watch or to change it, or if the kernels do not reproduce autograd's bits, which is checked before they are used.
    """

    _learner: Learner | None = None
    _actor: NativeActor | None = None
    _prepared: tuple[int, int, Learner | None, Transitions | None] | None = None
    """Batch and number of transitions of an epoch, and what their epochs are made with."""

    def learner(self, capacity: int) -> Learner:
        """Return the kernels' learner for at most so many states at once; parameters must be bound to `flat`."""
        if self._learner is None or self._learner.capacity < capacity or self._learner.is_outdated():
            self._learner = Learner(self.policy, self.flat, self.recipe, capacity)
        return self._learner

    def start(self) -> None:
        """Take over the optimiser's state; layers, settings and transitions are looked at again."""
        super().start()
        self._prepared = None

    def learn_epoch(self, batch: Batch, order: NDArray[np.int64], report: UpdateReport) -> bool:
        """Make an epoch in one call, and report its minibatches; return False if they must be made one by one."""
        if any(name in vars(self) for name in ("forward", "backward", "descend")):
            return False
        if self.steps_differ or not len(order):  # PyTorch's optimiser makes the steps, or there is none
            return False
        if self._prepared is None or self._prepared[:2] != (id(batch), len(order)):
            self._prepared = (id(batch), len(order), *self._prepare(batch, len(order), report.config))
        _, _, learner, transitions = self._prepared
        if learner is None or transitions is None or not learner.accepts(transitions, order):
            return False
        terms, report.stopped_early = learner.learn_epoch(transitions, order, report.config)
        report.record_epoch(terms)
        return True

    def _prepare(self, batch: Batch, n: int, config: UpdateConfig) -> tuple[Learner, Transitions] | tuple[None, None]:
        """Return the learner for epochs of n transitions, and the transitions, or Nones if the kernels do not apply."""
        features = flat_features(self.policy, batch.observations).contiguous()
        if not Transitions.possible(features, batch):
            return None, None
        transitions = Transitions(features, batch)
        size = min(config.batch_size or n, n)
        learner = self.learner(size)
        # The last minibatch may be smaller, and MKL sums in another order for another size.
        sizes = sorted({size, n % size} - {0}, reverse=True)
        # What is to be compared must be within the arrays, too.
        if not learner.accepts(transitions, np.arange(n)):
            return None, None
        agrees = all(self_check.update_agrees(learner, batch, transitions, config, size) for size in sizes)
        return (learner, transitions) if agrees else (None, None)

    def actor(self, policy: Any, n_envs: int) -> Actor | None:
        """Return what acts in N environments, or None if actions must be computed by the policy's own methods."""
        if policy is not self.policy or torch_is_watched():
            return None
        actor = self._actor
        if actor is None or actor.n_envs != n_envs or actor.learner.is_outdated():
            actor = self._actor = make_actor(self, n_envs)
        return actor or super().actor(policy, n_envs)
