from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.config.algorithm_list import read_algorithms
from harness.config.documents import PlacedError, parse_document
from harness.config.names import REGISTERED

Check = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ppo", 'algorithms: expected a list of algorithms, got the text "ppo"'),
        ("[]", "algorithms: expected at least one algorithm, got an empty list"),
        ("[ppo, pppo]", "algorithms[1]: no algorithm is registered as pppo, did you mean ppo?"),
        ("[ppo, ppo]", "algorithms[1]: the algorithm ppo is given twice"),
        ("[3]", "algorithms[0]: expected the name of an algorithm or a mapping, got 3"),
        (
            "[{ppo: , b: }]",
            "algorithms[0]: expected one label in each list item; check the indentation of its settings",
        ),
        ("[{ppo: {clas: ppo}}]", "algorithms[0].ppo.clas: unknown key, did you mean class?"),
        ("[{ppo: {class: pp}}]", "algorithms[0].ppo.class: no algorithm is registered as pp, did you mean ppo?"),
        (
            "[{ppo: {class: 'a b:C'}}]",
            'algorithms[0].ppo.class: expected a registered name or package.module:Class, got the text "a b:C"',
        ),
        ("[{ppo: {kwargs: [1]}}]", "algorithms[0].ppo.kwargs: expected a mapping of hyperparameters, got a list"),
        ("[{ppo: 3}]", "algorithms[0].ppo: expected a mapping of class, hyperparameters_of, kwargs, factors, got 3"),
        (
            "[{../ppo: {class: ppo}}]",
            "algorithms[0].../ppo.class: expected a name of letters, digits and _ . : = , + - that starts with a "
            'letter, digit or _, got the text "../ppo"',
        ),
        (
            "[{ppo: {kwargs: {n_step: 3}}}]",
            "algorithms[0].ppo.kwargs.n_step: unknown key, did you mean n_steps?",
        ),
    ],
)
def test_an_invalid_algorithm_is_refused(check: Check, value: str, message: str) -> None:
    assert check(algorithms=value) == [f"a.yml:2: {message}"]


def test_two_labels_that_would_share_a_folder_are_refused(check: Check) -> None:
    found = check(algorithms="[{'a:b': {class: ppo}}, {a.b: {class: ppo}}]")
    assert found == ["a.yml:2: algorithms[1]: the algorithm a.b and a:b would share the folder a.b"]


def test_an_algorithm_may_be_a_name_a_class_or_a_mapping() -> None:
    text = "[ppo, 'pkg.mod:Cls', {mine: {class: custom_ppo, hyperparameters_of: a2c, kwargs: {gamma: 1}}}, {trpo: }]"
    problems: list[PlacedError] = []
    drafts = read_algorithms(parse_document(text, "a.yml").root, REGISTERED, problems)
    assert problems == []
    assert [(draft.label, draft.algo_class, draft.hyperparameters_of) for draft in drafts] == [
        ("ppo", "ppo", None),
        ("pkg.mod:Cls", "pkg.mod:Cls", None),
        ("mine", "custom_ppo", "a2c"),
        ("trpo", "trpo", None),
    ]
    assert drafts[2].kwargs["gamma"].value == 1
