"""Read seeds: a count (5 means 0 to 4), a range "0-9", or a list; the same in a file and on the command line."""

from __future__ import annotations

import re

from harness.config.documents import Located, PlacedError
from harness.config.rules import Rule, integer, read_value
from harness.errors import ConfigError

__all__ = ["MAX_SEED", "MAX_SEEDS", "parse_seeds", "read_seeds"]

MAX_SEEDS = 10_000
"""Largest number of seeds; a larger one is assumed to be a typing mistake."""

MAX_SEED = 2**32 - 1 - 100_000
"""Largest seed: NumPy's seeds end at 2**32 - 1, and each environment of a run adds its index to the run's seed."""

_COUNT = Rule("a count >= 1, a range such as 0-9, or a list", integer(at_least=1).read)
_SEED = integer(at_least=0, at_most=MAX_SEED)


def read_seeds(place: Located, problems: list[PlacedError]) -> tuple[int, ...]:
    """Return seeds from a count (10 means 0 to 9), a range "0-9", or a list; empty if there is a mistake."""
    try:
        if isinstance(place.value, list):
            return _listed_seeds(place, problems)
        return parse_seeds(place.value)
    except ConfigError as error:
        problems.append(place.placed(error))
        return ()


def parse_seeds(value: object) -> tuple[int, ...]:
    """Return the seeds for a count, or for text with a count, a range or a list; raise ConfigError.

    "5" is 0 to 4, "5-5" and "5," are the seed 5 alone, "0-9" is 0 to 9, "0, 3, 7" and "[0, 3, 7]" are these three.
    """
    if isinstance(value, str):
        listed = re.fullmatch(r"\[?((?:\s*\d{1,10}\s*,)+(?:\s*\d{1,10}\s*)?)\]?", value[:100_000], flags=re.ASCII)
        if listed is not None:
            return _distinct([_SEED(int(number)) for number in re.findall(r"\d+", listed[1])])
        bounds = re.fullmatch(r"(\d{1,10})\s*-\s*(\d{1,10})", value, flags=re.ASCII)
        if bounds is not None:
            return _range(int(bounds[1]), int(bounds[2]))
        value = int(value) if re.fullmatch(r"\d{1,10}", value, flags=re.ASCII) else value
    if value == 0 and not isinstance(value, bool):
        raise ConfigError(f"expected {_COUNT.expected}, got 0; the seed 0 alone is 0-0")
    return _range(0, _COUNT(value) - 1)


def _range(first: int, last: int) -> tuple[int, ...]:
    if first > last:
        raise ConfigError(f"the range {first}-{last} is empty, did you mean {last}-{first}?")
    if last - first >= MAX_SEEDS or last > MAX_SEED:
        raise ConfigError(f"expected at most {MAX_SEEDS:,} seeds, none above {MAX_SEED}")
    return tuple(range(first, last + 1))


def _distinct(seeds: list[int]) -> tuple[int, ...]:
    for index, seed in enumerate(seeds):
        if seed in seeds[:index]:
            raise ConfigError(f"the seed {seed} is given twice")
    return tuple(seeds)


def _listed_seeds(place: Located, problems: list[PlacedError]) -> tuple[int, ...]:
    if not place.value:
        raise ConfigError("expected at least one seed, got an empty list")
    if len(place.value) > MAX_SEEDS:
        raise ConfigError(f"expected at most {MAX_SEEDS:,} seeds, none above {MAX_SEED}")
    seeds: dict[int, None] = {}
    for item in place.elements():
        seed = read_value(item, _SEED, problems)
        if seed in seeds:
            problems.append(item.error(f"the seed {seed} is given twice"))
        elif seed is not None:
            seeds[seed] = None
    return tuple(seeds)
