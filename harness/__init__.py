"""Train PPO implementations under identical conditions, check them against SB3, and compare them honestly.

    from harness import compare, evaluate, load_results

These three load what they need when they are first used: `import harness` itself loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import Report, compare, evaluate, load_results

__all__ = ["Report", "compare", "evaluate", "load_results"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    from harness import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
