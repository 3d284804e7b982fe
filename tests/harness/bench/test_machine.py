from __future__ import annotations

import os

import pytest

from harness.bench.machine import describe, load_average, machine


def test_machine_and_versions_are_plain_data() -> None:
    found = machine()

    assert found["cores"] >= 1
    assert found["torch_threads"] == 1
    assert {"python", "torch", "stable_baselines3", "gymnasium"} <= set(found["versions"])
    assert found["cpu_capability"]
    assert len(describe(found).splitlines()) == 2


def test_a_system_without_load_average_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg")

    assert load_average() is None


def test_no_compiler_is_an_empty_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)

    assert machine()["compiler"] == ""
