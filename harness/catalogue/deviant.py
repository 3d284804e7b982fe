"""CustomPPO and CustomA2C with deviations: they train exactly like a subject that has only these mistakes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from custom_ppo.sb3 import CustomA2C, CustomPPO
from harness.catalogue import CATALOGUE, Deviation, deviation

__all__ = ["DeviantA2C", "DeviantPPO"]


class _Deviant(CustomPPO):
    """Applies deviations: all their settings, then all their recipes, then, on the model that was made, all patches."""

    deviations: tuple[Deviation, ...] = ()

    def __init__(
        self, policy: Any, env: Any, *, deviations: str | Deviation | Sequence[str | Deviation] = (), **settings: Any
    ) -> None:
        given = [deviations] if isinstance(deviations, str | Deviation) else deviations
        # In the catalogue, deviations that replace a part come before those that wrap one: in the other order the
        # wrapper would be lost with the replaced part.
        place = {entry.id: number for number, entry in enumerate(CATALOGUE)}
        entries = [deviation(entry) if isinstance(entry, str) else entry for entry in given]
        self.deviations = tuple(sorted(entries, key=lambda entry: place.get(entry.id, len(place))))
        for entry in self.deviations:
            if entry.settings is not None:
                settings = {**settings, **entry.settings({**self._defaults(), **settings})}
        super().__init__(policy, env, **settings)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Return the default values of the algorithm's arguments."""
        algorithm = cls.__mro__[cls.__mro__.index(_Deviant) + 1]
        parameters = inspect.signature(algorithm).parameters
        return {name: found.default for name, found in parameters.items() if found.default is not found.empty}

    def _setup_model(self) -> None:
        for entry in self.deviations:
            if entry.recipe is not None:
                self.recipe = entry.recipe(self.recipe)
        self.engine = "autograd"  # the engine that calls every part of the recipe, and whose methods can be wrapped
        super()._setup_model()
        for entry in self.deviations:
            if entry.patch is not None:
                entry.patch(self)

    def _excluded_save_params(self) -> list[str]:
        # A method wrapped by a patch refers to the model itself, which would be saved with it.
        wrapped = [name for name, value in vars(self).items() if callable(value) and hasattr(type(self), name)]
        return [*super()._excluded_save_params(), *wrapped, "deviations"]


class DeviantPPO(_Deviant):
    """CustomPPO with deviations: ids of the catalogue, or `Deviation` objects; applied in the order of the catalogue.

    The other arguments are those of CustomPPO, by name; the engine is always autograd. A saved file keeps weights,
    settings and recipe, but no patches: a loaded model predicts as before, and trains without them.
    Raises UnknownNameError for an id that is not in the catalogue.
    """


class DeviantA2C(_Deviant, CustomA2C):
    """CustomA2C with deviations; see `DeviantPPO`."""
