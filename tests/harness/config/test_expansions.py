from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.catalogue import CATALOGUE
from harness.config import parse_config, resolved_text
from harness.config.experiment import AlgorithmConfig

Check = Callable[..., list[str]]

ROOT = Path(__file__).parents[3]
TEXT = """
name: trial
algorithms: ALGORITHMS
environments: {CartPole-v1: {n_timesteps: 1000}}
seeds: 1
hyperparameters:
  ppo: {default: {policy: MlpPolicy, n_steps: 1e2, gamma: 0.5}}
  a2c: {default: {policy: MlpPolicy, n_steps: 9}}
"""


def algorithms(text: str) -> list[AlgorithmConfig]:
    return list(parse_config(TEXT.replace("ALGORITHMS", text), Path("a.yml")).algorithms)


@pytest.mark.parametrize(
    ("base", "reference", "algo_class"),
    [
        ("custom_ppo", "ppo", "harness.catalogue.deviant:DeviantPPO"),
        ("custom_a2c", "a2c", "harness.catalogue.deviant:DeviantA2C"),
    ],
)
def test_deviations_expand_to_those_that_apply_in_the_catalogues_order(
    base: str, reference: str, algo_class: str
) -> None:
    plain, *deviants = algorithms(f"[{base}, {{deviations: {{of: {base}}}}}]")

    assert [deviant.label for deviant in deviants] == [entry.id for entry in CATALOGUE if reference in entry.algorithms]
    assert {deviant.algo_class for deviant in deviants} == {algo_class}
    for deviant in deviants:
        expected = {**plain.hyperparams["CartPole-v1"], "deviations": deviant.label}
        assert deviant.hyperparams == {"CartPole-v1": expected}


def test_deviations_can_be_chosen_or_omitted_by_id() -> None:
    ids = [entry.id for entry in CATALOGUE if "ppo" in entry.algorithms]

    _, *chosen = algorithms("[custom_ppo, {deviations: {of: custom_ppo, only: [sgd, adam_eps_1e-8]}}]")
    _, *rest = algorithms("[custom_ppo, {deviations: {of: custom_ppo, except: [sgd, adam_eps_1e-8]}}]")

    assert [algorithm.label for algorithm in chosen] == ["adam_eps_1e-8", "sgd"]
    assert [algorithm.label for algorithm in rest] == [name for name in ids if name not in {"sgd", "adam_eps_1e-8"}]


def test_a_deviation_shares_the_kwargs_and_sources_of_the_algorithm_it_varies() -> None:
    base = "{slow: {class: custom_ppo, hyperparameters_of: a2c, kwargs: {n_epochs: 3}}}"

    deviant, plain = algorithms(f"[{{deviations: {{of: slow, only: [sgd]}}}}, {base}]")

    assert plain.hyperparams["CartPole-v1"] == {"policy": "MlpPolicy", "n_steps": 9, "n_epochs": 3}
    assert deviant.hyperparams["CartPole-v1"] == {**plain.hyperparams["CartPole-v1"], "deviations": "sgd"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "{of: custom_ppo, only: [adam_eps_1e8]}",
            ".only[0]: ppo has no deviation adam_eps_1e8, did you mean adam_eps_1e-8?",
        ),
        (
            "{of: custom_ppo, except: [zzz]}",
            ".except[0]: ppo has no deviation zzz; `python -m harness.catalogue` lists",
        ),
        ("{of: custom_ppo, only: [sgd, sgd]}", ".only[1]: the deviation sgd is given twice"),
        ("{of: custom_ppo, except: [3]}", ".except[0]: expected text, got 3"),
        ("{of: custom_ppo, except: sgd}", '.except: expected a list of deviations, got the text "sgd"'),
        ("{of: custom_ppo, exept: [sgd]}", ".exept: unknown key, did you mean except?"),
        (
            "{of: custom_ppo, only: [sgd, adamw], except: [sgd]}",
            ".except: cannot be combined with only: name the deviations to train, or to omit",
        ),
        ("{of: custom_ppo, only: []}", ": selects no deviation, expected at least one"),
        ("{of: custom_pp}", ".of: custom_pp is not an algorithm of this list, did you mean custom_ppo?"),
        ("{of: [custom_ppo]}", ".of: expected text, got a list"),
        ("{of: ppo}", ".of: expected an algorithm of class custom_ppo or custom_a2c, got ppo"),
        ("{only: [sgd]}", ": of is missing, expected the label of an algorithm in this list"),
        ("custom_ppo", ": expected a mapping such as {of: custom_ppo, except: [adam_eps_1e-8]}, got the text"),
        ("", ": expected a mapping such as {of: custom_ppo, except: [adam_eps_1e-8]}, got nothing"),
    ],
)
def test_a_mistake_in_an_expansion_is_one_line_with_its_place(check: Check, value: str, message: str) -> None:
    found = check(algorithms=f"\n  - custom_ppo\n  - ppo\n  - deviations: {value}")

    assert len(found) == 1
    assert found[0].startswith(f"a.yml:5: algorithms[2].deviations{message}")


def test_a_deviation_and_an_algorithm_with_one_label_are_refused(check: Check) -> None:
    expansion = "{deviations: {of: custom_ppo, only: [sgd]}}"

    assert check(algorithms=f"[custom_ppo, {{sgd: {{class: ppo}}}}, {expansion}]") == [
        "a.yml:2: algorithms[2]: the algorithm sgd is given twice"
    ]


@pytest.mark.parametrize("value", ["3", "[sgd, 3]", "{sgd: 1}"])
def test_deviations_written_by_hand_are_ids(check: Check, value: str) -> None:
    deviant = f"{{mine: {{class: 'harness.catalogue.deviant:DeviantPPO', kwargs: {{deviations: {value}}}}}}}"

    (found,) = check(algorithms=f"[{deviant}]", hyperparameters="{mine: {default: {policy: MlpPolicy}}}")

    assert found.startswith("a.yml:2: algorithms[0].mine.kwargs.deviations: expected an id of the catalogue or a list")


def modules_loaded_by_reading(text: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after reading an experiment."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.config import parse_config\n"
        "parse_config(sys.argv[1], Path('a.yml'))\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, text], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_only_an_unresolved_file_with_deviations_loads_the_catalogue() -> None:
    text = TEXT.replace("ALGORITHMS", "[custom_ppo, {deviations: {of: custom_ppo, only: [sgd]}}]")
    resolved = resolved_text(parse_config(text, Path("a.yml")))

    assert {"torch", "harness.catalogue"} <= modules_loaded_by_reading(text)
    assert modules_loaded_by_reading(resolved).isdisjoint({"torch", "harness.catalogue"})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("deviations", "a.yml:2: algorithms[1]: deviations needs settings, such as deviations: {of: custom_ppo}"),
        (
            "{deviation: {}}",
            "a.yml:2: algorithms[1].deviation: no algorithm is registered as deviation, did you mean deviations?",
        ),
    ],
)
def test_a_misspelt_expansion_is_corrected(check: Check, entry: str, message: str) -> None:
    assert check(algorithms=f"[custom_ppo, {entry}]") == [message]
