from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.crosscheck.comparing.source_lines import SourceLine, first_unshared_line, most_similar_result
from tests.harness.crosscheck.traces import f32, operation, trace

MOMENT = (4, 1)
RATIO, ADVANTAGE = f32([1.1, 0.9, 1.3]), f32([1.0, -2.0, 0.5])


def test_the_line_is_that_of_the_first_result_the_other_does_not_have() -> None:
    shared = operation(RATIO, "exp", line=7)
    ours = trace({}, {MOMENT: [shared, operation([0.1, 0.2, 0.3], "mul", line=9), operation(2.0, "mean", line=11)]})
    theirs = trace({}, {MOMENT: [operation(RATIO * ADVANTAGE, "mul", line=3), shared]})

    found = first_unshared_line(ours, theirs, MOMENT, trace({}))

    assert found is not None
    assert (found.line, found.operation, found.result) == (9, "mul", None)
    assert first_unshared_line(theirs, ours, MOMENT, trace({})).line == 3  # type: ignore[union-attr]


def test_there_is_no_line_if_the_other_has_all_results() -> None:
    ours = trace({}, {MOMENT: [operation(-RATIO), operation(ADVANTAGE * f32(1 + 1e-6))]})
    theirs = trace({}, {MOMENT: [operation(ADVANTAGE), operation(RATIO)]})

    assert first_unshared_line(ours, theirs, MOMENT, trace({})) is None
    assert first_unshared_line(ours, theirs, (8, 1), trace({})) is None


def test_a_result_too_large_to_be_kept_is_no_line() -> None:
    large = replace(operation([1.0]), values=None)

    assert first_unshared_line(trace({}, {MOMENT: [large]}), trace({}, {MOMENT: []}), MOMENT, trace({})) is None


def test_operations_after_the_loss_can_be_left_out() -> None:
    ours = trace({}, {MOMENT: [operation(0.7, "clip_grad_norm_", after_backward=True)]})

    assert first_unshared_line(ours, trace({}), MOMENT, trace({}), after_backward=False) is None
    assert first_unshared_line(ours, trace({}), MOMENT, trace({})) is not None


def test_ingredients_of_the_loss_come_before_what_is_only_logged() -> None:
    logged = operation(0.3, "mean", line=5, inputs=[RATIO])
    made = [operation(RATIO * ADVANTAGE, line=7, inputs=[RATIO]), operation(0.5, line=8, inputs=[RATIO * ADVANTAGE])]
    with_loss = trace({}, {MOMENT: [logged, *made]}, losses={MOMENT: [f32(0.5)]})
    without = trace({}, {MOMENT: [logged, *made]})

    for ours, line in ((with_loss, 7), (without, 5)):
        found = first_unshared_line(ours, trace({}), MOMENT, trace({}))
        assert found is not None
        assert found.line == line


def test_a_line_names_its_inputs_and_its_scalar_result() -> None:
    names = trace({(4, 1, "ratio"): RATIO, (4, 1, "batch_advantage"): ADVANTAGE, (8, 1, "surrogate"): f32([5.0, 6.0])})
    ours = trace({}, {MOMENT: [operation(0.25, "mean", inputs=[ADVANTAGE, RATIO, f32([5.0, 6.0])])]})

    found = first_unshared_line(ours, trace({}), MOMENT, names)

    assert found is not None
    assert (found.of, found.result) == (("batch_advantage", "ratio"), 0.25)


def test_a_line_is_shown_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "ppo.py"
    file.write_text("import torch\n    loss = surrogate.sum()\n")
    there = replace(operation(3.0, "sum", line=2), file=str(file))

    found = first_unshared_line(trace({}, {MOMENT: [there]}), trace({}), MOMENT, trace({}))

    assert str(found) == "ppo.py:2: loss = surrogate.sum()"


def test_a_line_without_its_source_is_shown_by_its_operation() -> None:
    assert str(SourceLine("/nowhere/ppo.py", 8, "train", "", "sum", (), None)) == "ppo.py:8, in train: sum"


def test_the_most_similar_result_has_the_largest_correlation() -> None:
    rewards, halved = operation([0.0, 9.0, 0.1]), operation(-0.5 * ADVANTAGE)
    ours = trace({}, {MOMENT: [operation([1.0, 1.0, 1.0]), rewards, operation(0.5), halved]})

    assert np.array_equal(most_similar_result(ours, trace({}), MOMENT, ADVANTAGE), -0.5 * ADVANTAGE)  # type: ignore[arg-type]


def test_a_result_without_correlation_is_not_similar() -> None:
    ours = trace({}, {MOMENT: [operation([1.0, 1.0, 1.0, 1.0]), operation([1.0, -1.0, -1.0, 1.0])]})

    assert most_similar_result(ours, trace({}), MOMENT, f32([1.0, 2.0, 3.0, 4.0])) is None


def test_for_a_scalar_the_first_unshared_result_of_its_size_is_taken() -> None:
    ours = trace({}, {MOMENT: [operation(0.5), operation([[1.0], [2.0], [4.0]]), operation([7.0, 7.0, 7.0])]})

    assert np.array_equal(most_similar_result(ours, trace({}), MOMENT, RATIO), [1, 2, 4])  # type: ignore[arg-type]
    assert most_similar_result(ours, trace({}), MOMENT, f32([1, 2])) is None
