"""A planted bug: its id in the catalogue of mistakes, and its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from harness.catalogue import CATALOGUE

__all__ = ["CATALOGUE_IDS", "PlantedBug", "by_name"]

CATALOGUE_IDS = frozenset(entry.id for entry in CATALOGUE)
B = TypeVar("B", bound="PlantedBug")


@dataclass(frozen=True)
class PlantedBug:
    """One mistake, written into the source of a PPO.

    It has the id that the mistake has in the catalogue, but shares no code with the catalogue's implementation.
    """

    id: str
    """Catalogue id of the mistake; for an unlisted mistake an id in its style that no deviation has."""
    variant: str = field(default="", kw_only=True)
    """Another way of writing the mistake than the one planted under the bare id, such as "clipped_after_step"."""
    listed: bool = field(default=True, kw_only=True)
    """False for a mistake that is not in the catalogue. Stated rather than derived, so that tests catch a typo."""

    @property
    def name(self) -> str:
        """Unique name, by which the class with this bug is imported: "id", or "id__variant"."""
        return f"{self.id}__{self.variant}" if self.variant else self.id

    @property
    def deviation(self) -> str | None:
        """Catalogue id that an explanation must give, or None if the catalogue has none."""
        return self.id if self.id in CATALOGUE_IDS else None


def by_name(bugs: Iterable[B]) -> Mapping[str, B]:
    """Return name -> bug, in the given order; raise ValueError if two bugs have one name."""
    named: dict[str, B] = {}
    for bug in bugs:
        if bug.name in named:
            raise ValueError(f"two planted bugs are named {bug.name!r}; give one of them a variant")
        named[bug.name] = bug
    return named
