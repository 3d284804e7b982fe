from __future__ import annotations

from typing import Any

from harness.crosscheck.tracing.construction import accepted_settings


def test_accepted_settings_are_those_that_a_constructor_takes() -> None:
    class Few:
        def __init__(self, policy: Any, env: Any, *, gamma: float = 1) -> None: ...

    class All:
        def __init__(self, policy: Any, env: Any, **settings: Any) -> None: ...

    settings = {"gamma": 0.9, "n_steps": 3}
    assert accepted_settings(Few, settings) == {"gamma": 0.9}
    assert accepted_settings(All, settings) == settings
