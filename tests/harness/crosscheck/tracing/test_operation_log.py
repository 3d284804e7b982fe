from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.crosscheck.tracing.operation_log import MAX_KEPT_SIZE, OperationLog
from harness.crosscheck.tracing.trace import Operation, digest


def logged(compute: Callable[[], Any]) -> tuple[list[Operation], OperationLog]:
    log = OperationLog()
    with log:
        compute()
    return log.take(), log


def test_an_operation_is_logged_with_its_result_inputs_and_line() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])

    (product, total), _ = logged(lambda: (a * b).sum())

    assert (product.name, total.name) == ("mul", "sum")
    assert np.array_equal(product.values, [3, 8])  # type: ignore[arg-type]
    assert product.inputs == (digest(a.numpy()), digest(b.numpy()))
    assert total.digest == digest(np.float32(11))
    assert product.file == __file__
    assert "(a * b).sum()" in linecache.getline(product.file, product.line)


def test_the_line_is_that_of_the_caller_of_torchs_own_code() -> None:
    layer, inputs = nn.Linear(2, 1), torch.zeros(1, 2)

    (only, *_), _ = logged(lambda: layer(inputs))

    assert only.name == "linear"
    assert "layer(inputs)" in linecache.getline(only.file, only.line)


def test_inputs_are_digested_before_an_operation_in_place() -> None:
    a = torch.tensor([1.0, 2.0])

    (only,), _ = logged(lambda: a.add_(1))

    assert only.inputs == (digest(np.array([1, 2], np.float32)),)
    assert np.array_equal(only.values, [2, 3])  # type: ignore[arg-type]


def test_a_result_is_kept_as_it_was_before_a_later_change() -> None:
    a = torch.tensor([1.0])

    def compute() -> None:
        b = a * 2
        b.add_(5)

    (first, _), _ = logged(compute)

    assert np.array_equal(first.values, [2])  # type: ignore[arg-type]


def test_integers_and_copies_are_not_logged() -> None:
    a = torch.tensor([1, 2])

    found, _ = logged(lambda: (a + a, a.clone(), torch.ones(2).detach().clone()))

    assert [operation.name for operation in found] in ([], ["ones"])


def test_of_a_large_result_only_the_digest_is_kept() -> None:
    a = torch.zeros(MAX_KEPT_SIZE + 1)

    (only,), _ = logged(lambda: a + 1)

    assert only.values is None
    assert only.digest == digest((a + 1).numpy())
    assert only.inputs == ()


def test_a_loss_is_logged_and_operations_after_it_are_marked() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))

    def compute() -> None:
        (weight * 3).sum().backward()
        assert weight.grad is not None
        weight.grad * 1

    found, log = logged(compute)

    assert [loss.item() for loss in log.losses] == [6.0]
    assert [operation.after_backward for operation in found if operation.name == "mul"] == [False, True]


def test_a_scalar_read_out_of_a_tensor_is_logged() -> None:
    _, log = logged(lambda: torch.tensor([1.5]).item())

    assert log.scalars == [1.5]


def test_nothing_is_logged_in_a_pause_or_outside() -> None:
    log = OperationLog()
    with log:
        log.paused = True
        torch.ones(2) * 2
        log.paused = False
    torch.ones(2) * 2

    assert log.take() == []


def test_taking_empties_the_log() -> None:
    found, log = logged(lambda: torch.ones(2) * 2)

    assert found
    assert log.take() == []
