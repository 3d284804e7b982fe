"""The state of the native engine is described for records of runs and for bug reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from custom_ppo import CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.engines.native import library, self_check
from custom_ppo.engines.native.status import kernel_status, self_check_outcome, status_text
from custom_ppo.sb3.advice import print_once


@pytest.fixture
def _no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as on a machine without a compiler."""
    monkeypatch.setattr(library, "_outcome", lambda: "there are none; make some")
    print_once.cache_clear()


def model(**kwargs: Any) -> CustomPPO:
    return CustomPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, device="cpu", **kwargs)


@pytest.mark.usefixtures("_no_kernels")
def test_the_status_says_why_there_are_no_kernels() -> None:
    assert kernel_status() | {"self_check": "not run"} == {
        "available": False,
        "reason": "there are none; make some",
        "digest": None,
        "compiler": None,
        "torch": torch.__version__,
        "torch_verified": torch.__version__.startswith("2.13.0"),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "self_check": "not run",
    }
    assert status_text().splitlines()[0] == "native engine   not available: there are none; make some"


def test_the_status_of_loaded_kernels_names_their_origin() -> None:
    if library.reason_against_loading() is not None:
        pytest.skip("the kernels are not available")
    status = kernel_status()
    assert (status["available"], status["reason"]) == (True, None)
    assert (status["digest"], status["compiler"]) == (library.load().digest, library.load().compiler)
    before = torch.get_rng_state()
    assert "\nkernels         agree with autograd for actions Discrete(3) and Box(" in status_text()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_outcome_of_comparisons_names_those_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    results: dict[tuple[Any, ...], bool] = {}
    monkeypatch.setattr(self_check, "results", results)
    assert self_check_outcome() == "not run"
    results[("update", 64)] = True
    assert self_check_outcome() == "ok"
    results[("act", 8)] = False
    assert self_check_outcome() == "failed: act 8"


@pytest.mark.usefixtures("_no_kernels")
def test_a_model_says_once_that_it_could_be_faster(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        model(verbose=1)
    line = "engine: fused (native is not available: there are none; make some)"
    assert capsys.readouterr().out.splitlines().count(line) == 1


@pytest.mark.usefixtures("_no_kernels")
@pytest.mark.parametrize("kwargs", [{"verbose": 0}, {"verbose": 1, "engine": "fused"}, {"verbose": 1, "recipe": "a2c"}])
def test_a_model_is_silent_where_no_kernels_were_wanted(
    kwargs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model(**{"engine": "autograd"} | kwargs if "recipe" in kwargs else kwargs)
    assert "native" not in capsys.readouterr().out


@pytest.mark.usefixtures("_no_kernels")
def test_asking_for_the_native_engine_names_the_remedy() -> None:
    with pytest.raises(InvalidConfigError) as error:
        model(engine="native")
    assert str(error.value) == "engine='native' is not possible: there are none; make some; use engine='auto'"


@pytest.mark.usefixtures("_no_kernels")
def test_a_model_describes_its_engine_as_plain_data() -> None:
    trained = model().learn(32)
    status = trained.engine_status()
    assert json.loads(json.dumps(status)) == status
    assert (status["asked_for"], status["used"], status["kernels"]) == ("auto", "fused", kernel_status())
    assert status["note"] == "engine: fused (native is not available: there are none; make some)"
    assert model(engine="autograd").engine_status()["note"] is None
