"""The decorators for a user's own tests, run by pytest in a process and a folder of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, UnknownNameError
from harness.pytest_plugin import parametrize_with_function_checks, parametrize_with_ppo_checks

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

PLANTED = "tests.planted.subjects.standalone_bugs:adam_eps_1e-8"


def names_of(mark: pytest.MarkDecorator) -> list[str]:
    return [parameter.id for parameter in mark.args[1]]


def run_test_file(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Result of a test file that stands alone in a folder."""
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(test_mine=source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA", *arguments)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


PPO_FILE = """
from harness.pytest_plugin import parametrize_with_ppo_checks

@parametrize_with_ppo_checks(
    {subject!r}, envs=("TightBounds", "Pendulum20"), seeds=(0,), updates=1, known_failures={known!r}
)
def test_my_ppo(check):
    check()
"""


def test_a_right_ppo_passes_one_named_test_for_each_environment(pytester: pytest.Pytester) -> None:
    result = run_test_file(pytester, PPO_FILE.format(subject="custom_ppo", known={}))
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["PASSED test_mine.py::test_my_ppo[[]TightBounds-seed0]"])


def test_a_planted_bug_fails_with_the_text_of_the_crosscheck(pytester: pytest.Pytester) -> None:
    result = run_test_file(pytester, PPO_FILE.format(subject=PLANTED, known={}))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            ">       check()",
            "E*CrosscheckFailed: first divergence in parameters, iteration 1, epoch 1, minibatch 1",
            "E *TightBounds * parameters, iteration 1",
            "E *(TightBounds, seed 0)",
            "E *where *iteration 1, epoch 1, minibatch 1",
            "E *eps=1e-08*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*in __call__*")


def test_a_known_failure_is_expected_with_its_reason(pytester: pytest.Pytester) -> None:
    known = {"TightBounds-seed0": "eps is meant", "Pendulum20-*": "eps is meant there too"}
    result = run_test_file(pytester, PPO_FILE.format(subject=PLANTED, known=known))
    result.assert_outcomes(xfailed=2)
    result.stdout.fnmatch_lines(["XFAIL test_mine.py::test_my_ppo[[]TightBounds-seed0] - eps is meant"])


def test_a_known_failure_that_passes_is_reported(pytester: pytest.Pytester) -> None:
    result = run_test_file(pytester, PPO_FILE.format(subject="custom_ppo", known={"TightBounds-seed0": "old"}))
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*old*"])


def test_a_known_failure_does_not_excuse_a_subject_that_is_missing(pytester: pytest.Pytester) -> None:
    result = run_test_file(pytester, PPO_FILE.format(subject="no_such_module:PPO", known={"*": "old"}))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *UnknownNameError: no_such_module:PPO: there is no module no_such_module*"])


FUNCTION_FILE = """
from functools import partial

import torch
from custom_ppo.gae import gae
from harness.pytest_plugin import parametrize_with_function_checks

def without_ends(rewards, values, episode_starts, last_values, dones, *, gamma, gae_lambda):
    return gae(rewards, values, 0 * episode_starts, last_values, 0 * dones, gamma=gamma, gae_lambda=gae_lambda)

def entropy(logits):
    return torch.distributions.Categorical(logits=logits).entropy()

@parametrize_with_function_checks(
    gae=without_ends,
    value_loss=lambda values, returns: ((values - returns) ** 2).mean(),
    entropy={"categorical": entropy},
    gradient={"policy": "custom_ppo.losses:clip_fraction"},
    options={"value_loss": {"clipping": False}},
    known_failures={"gradient-policy": "not a loss"},
)
def test_my_functions(check):
    check()
"""


def test_each_function_has_a_named_test(pytester: pytest.Pytester) -> None:
    result = run_test_file(pytester, FUNCTION_FILE)
    result.assert_outcomes(passed=2, failed=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            ">       check()",
            "E *CheckFailed: check_gae: * cases wrong, the first is *",
            "E *smallest input that shows it:",
            "PASSED test_mine.py::test_my_functions[[]value_loss]",
            "PASSED test_mine.py::test_my_functions[[]entropy-categorical]",
            "XFAIL test_mine.py::test_my_functions[[]gradient-policy] - not a loss",
        ]
    )


def test_names_say_environment_and_seed_or_the_function() -> None:
    ppo = parametrize_with_ppo_checks("my:PPO", seeds=iter((0, 7)), envs=("TightBounds", "CartPole-v1"))
    assert names_of(ppo) == ["TightBounds-seed0", "TightBounds-seed7", "CartPole-v1-seed0", "CartPole-v1-seed7"]
    functions = parametrize_with_function_checks(
        clipped_loss="my:loss", gradient={"log_prob-gsde": "my:log_prob"}, log_prob={"gsde": "my:log_prob"}
    )
    assert names_of(functions) == ["clipped_loss", "log_prob-gsde", "gradient-log_prob-gsde"]


@pytest.mark.parametrize(
    ("decorate", "arguments", "message"),
    [
        (parametrize_with_ppo_checks, {"subject": "a:B", "profile": "stres"}, "profile 'stres' is not known, did you"),
        (parametrize_with_ppo_checks, {"subject": "a:B", "seeds": ()}, "nothing to check: no test would be made"),
        (
            parametrize_with_ppo_checks,
            {"subject": "a:B", "envs": ("TightBounds",), "seeds": (0,), "known_failures": {"TightBound-seed0": "?"}},
            "known failure 'TightBound-seed0' matches no test, did you mean TightBounds-seed0? (there are: TightBounds",
        ),
        (parametrize_with_function_checks, {}, "nothing to check: no test would be made"),
        (parametrize_with_function_checks, {"log_prob": "a:b"}, "log_prob needs a distribution for the function: log"),
        (
            parametrize_with_function_checks,
            {"gae": "a:b", "options": {"gea": {}}},
            "options for 'gea', but there is no such check, did you mean gae?",
        ),
    ],
)
def test_a_slip_in_the_arguments_is_told_when_tests_are_collected(
    decorate: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((HarnessError, UnknownNameError)) as caught:
        decorate(**arguments)
    assert str(caught.value).startswith(message)


def test_a_function_is_named_with_its_module() -> None:
    (parameter,) = parametrize_with_function_checks(gae="my_gae").args[1]
    with pytest.raises(HarnessError, match=r"^function 'my_gae' is not known: write package.module:function$"):
        parameter.values[0]()


def test_collecting_tests_loads_neither_torch_nor_stable_baselines3() -> None:
    code = (
        "from harness.pytest_plugin import *\n"
        "parametrize_with_ppo_checks('my:PPO'), parametrize_with_function_checks(gae='my:gae')\n"
        "import sys; print(*{'torch', 'stable_baselines3', 'gymnasium', 'scipy', 'pandas'}.intersection(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "")
