"""CustomPPO and CustomA2C with mistakes: what a subject would do if it had just these deviations."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from custom_ppo.sb3 import CustomA2C, CustomPPO
from harness.catalogue import CATALOGUE, Deviation, deviation

__all__ = ["DeviantA2C", "DeviantPPO"]


class _Deviant(CustomPPO):
    """Applies deviations: all their settings, then all their recipes, then, on the model that was made, all surgery."""

    deviations: tuple[Deviation, ...] = ()

    def __init__(
        self, policy: Any, env: Any, *, deviations: str | Deviation | Sequence[str | Deviation] = (), **settings: Any
    ) -> None:
        given = [deviations] if isinstance(deviations, str | Deviation) else deviations
        # In the catalogue's order, which has what replaces a part before what changes the result of one: the other way
        # round, the change would be lost with the part.
        place = {entry.id: number for number, entry in enumerate(CATALOGUE)}
        entries = [deviation(entry) if isinstance(entry, str) else entry for entry in given]
        self.deviations = tuple(sorted(entries, key=lambda entry: place.get(entry.id, len(place))))
        for entry in self.deviations:
            if entry.settings is not None:
                settings = {**settings, **entry.settings({**self._defaults(), **settings})}
        super().__init__(policy, env, **settings)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """What the algorithm trains with where nothing else is asked for."""
        algorithm = cls.__mro__[cls.__mro__.index(_Deviant) + 1]
        parameters = inspect.signature(algorithm).parameters
        return {name: found.default for name, found in parameters.items() if found.default is not found.empty}

    def _setup_model(self) -> None:
        for entry in self.deviations:
            if entry.recipe is not None:
                self.recipe = entry.recipe(self.recipe)
        self.engine = "autograd"  # the one that asks every part of the recipe, and can be wrapped
        super()._setup_model()
        for entry in self.deviations:
            if entry.surgery is not None:
                entry.surgery(self)

    def _excluded_save_params(self) -> list[str]:
        # Methods that surgery has wrapped hold the model itself.
        wrapped = [name for name, value in vars(self).items() if callable(value) and hasattr(type(self), name)]
        return [*super()._excluded_save_params(), *wrapped, "deviations"]


class DeviantPPO(_Deviant):
    """CustomPPO with deviations: ids of the catalogue, or `Deviation` objects; applied in the order of the catalogue.

    The other arguments are those of CustomPPO, by name; the engine is always autograd. A file of it keeps weights,
    settings and recipe, but not what was changed by surgery: loaded, the model predicts as before, and trains without.
    Raises UnknownNameError for an id that is not in the catalogue.
    """


class DeviantA2C(_Deviant, CustomA2C):
    """CustomA2C with deviations; see `DeviantPPO`."""
