"""Read settings of the statistics for logs that no experiment file describes."""

from __future__ import annotations

from pathlib import Path

from harness.config.documents import Located, PlacedError, parse_document
from harness.config.experiment import StatisticsConfig
from harness.config.files import read_text
from harness.config.sections import read_statistics
from harness.errors import ConfigError

__all__ = ["load_statistics"]


def load_statistics(path: Path) -> StatisticsConfig:
    """Return the settings in a YAML file: those of its section `statistics` or, without such a section, of the file.

    Raises ConfigError with all mistakes, a line each. References, thresholds, baseline and pairs may have any names:
    which environments and algorithms there are, only the logs can say.
    """
    root = parse_document(read_text(path), str(path)).root
    if not isinstance(root.value, dict):
        raise root.error("expected a mapping such as `equivalence_margin: 0.1`")
    place = root["statistics"] if root.value.get("statistics") is not None else root
    problems: list[PlacedError] = []
    statistics = read_statistics(place, _names_in(place), _labels_in(place), problems)
    if problems:
        raise ConfigError("\n".join(map(str, problems)))
    return statistics


def _names_in(place: Located) -> set[str]:
    sections = (place.value.get(key) for key in ("references", "thresholds")) if isinstance(place.value, dict) else ()
    return {str(env) for section in sections if isinstance(section, dict) for env in section}


def _labels_in(place: Located) -> set[str]:
    if not isinstance(place.value, dict):
        return set()
    pairs = place.value.get("pairs")
    listed = [pair for pair in pairs if isinstance(pair, list)] if isinstance(pairs, list) else []
    return {str(label) for pair in [*listed, [place.value.get("baseline")]] for label in pair}
