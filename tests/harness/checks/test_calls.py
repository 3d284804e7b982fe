from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from harness.checks.calls import as_array
from harness.checks.case import UnusableError
from harness.crosscheck import check_clipped_loss, check_gae
from tests.harness.checks.failures import failure


def test_an_exception_is_the_functions_and_is_chained_for_its_traceback() -> None:
    def broken(*arguments: Any, **settings: Any) -> Any:
        raise KeyError("a line\nand another")

    failed = failure(check_gae, broken)

    assert failed.finding.text == "the function raised KeyError: 'a line\\nand another'"
    assert isinstance(failed.__cause__, KeyError)
    assert failed.right == []


def test_an_exception_whose_message_cannot_be_printed_is_named() -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def broken(*arguments: Any, **settings: Any) -> Any:
        raise UnprintableError

    expected = "the function raised UnprintableError: (its message cannot be printed)"
    assert failure(check_gae, broken).finding.text == expected


def test_a_function_with_other_arguments_is_told_how_it_is_called() -> None:
    failed = failure(check_gae, lambda rewards, values: rewards)

    assert "the function raised TypeError: " in str(failed)
    assert " ".join(str(failed).split()).endswith(
        "the function is called as fn(rewards, values, episode_starts, last_values, dones, gamma=..., gae_lambda=...)"
        " -> (advantages, returns)"
    )


def test_an_exception_of_some_shapes_only_is_shown_with_the_smallest_of_them() -> None:
    def never_one_step(rewards: Any, *arguments: Any, **settings: Any) -> Any:
        if len(rewards) > 4:
            raise IndexError("too long")
        return rewards

    failed = failure(check_gae, never_one_step)
    # Its results are wrong in other cases, too; the case that is shown is the first of all.
    assert failed.case == "one step, one environment"

    def too_long(log_prob: Any, old: Any, advantages: Any, clip: float) -> Any:
        if len(log_prob) > 4:
            raise IndexError("too long")
        ratio = torch.exp(log_prob - old)
        return -torch.minimum(ratio * advantages, ratio.clip(1 - clip, 1 + clip) * advantages).mean()

    failed = failure(check_clipped_loss, too_long)
    assert failed.finding.text == "the function raised IndexError: too long"
    assert failed.inputs["log_prob"].tolist() == [0] * 5
    assert failed.hint == ""


@pytest.mark.parametrize("check", [check_gae, check_clipped_loss])
def test_a_function_that_changes_its_arguments_is_reported(check: Callable[..., Any]) -> None:
    def in_place(first: Any, *arguments: Any, **settings: Any) -> Any:
        first += 1
        return 0.0

    name = "rewards" if check is check_gae else "log_prob"
    assert failure(check, in_place).finding.text == f"the function changes its argument {name} in place: work on a copy"


def test_every_call_gets_arrays_of_its_own() -> None:
    seen: list[Any] = []

    def keeps(rewards: Any, *arguments: Any, **settings: Any) -> Any:
        seen.append(rewards)
        return np.zeros_like(rewards)

    failure(check_gae, keeps)
    assert len({id(array) for array in seen}) == len(seen)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "the function returned None for advantages, expected an array of numbers"),
        ("advantages", "the function returned a str for advantages, expected an array of numbers"),
        ({"advantages": 1}, "the function returned a dict for advantages, expected an array of numbers"),
        (
            np.ones(1, complex),
            "the function returned an array of complex128 for advantages, expected an array of numbers",
        ),
        (
            torch.eye(1).to_sparse(),
            "the function returned a tensor of torch.float32 with layout torch.sparse_coo on cpu for advantages, "
            "expected an array of numbers",
        ),
        (
            torch.empty(1, 1, device="meta"),
            "the function returned a tensor of torch.float32 with layout torch.strided on meta for advantages, "
            "expected an array of numbers",
        ),
        ([["a"]], "the function returned a list for advantages, expected an array of numbers"),
        ((1, 2, 3), "the function returned 3 results, expected (advantages, returns) or advantages"),
        ((), "the function returned 0 results, expected (advantages, returns) or advantages"),
        (1.5, "advantages has shape [], expected [1, 1]"),
    ],
)
def test_a_result_that_cannot_be_compared_is_described(result: Any, text: str) -> None:
    assert failure(check_gae, lambda *a, **k: result).finding.text == text


@pytest.mark.parametrize(
    "result",
    [2.0, 2, np.float32(2), [2.0], torch.tensor(2.0), torch.tensor(2, dtype=torch.bfloat16), torch.ones(1) * 2],
)
def test_numbers_of_every_kind_are_read(result: Any) -> None:
    array = as_array(result, "it")
    assert array.dtype == np.float64
    assert array.item() == 2.0


@pytest.mark.parametrize("result", [object(), 1j, [None], print])
def test_what_is_no_number_is_not(result: Any) -> None:
    with pytest.raises(UnusableError, match="expected an array of numbers"):
        as_array(result, "it")
