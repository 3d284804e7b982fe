from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.config import ExperimentConfig, parse_config
from harness.errors import RecordError
from harness.experiment.declaration import RULE_NAME, declare, rule_history

TEXT = """
name: small
algorithms: [ppo, a2c]
environments: {CartPole-v1: {n_timesteps: 1000}}
seeds: SEEDS
hyperparameters: {ppo: {default: {policy: MlpPolicy}}, a2c: {default: {policy: MlpPolicy}}}
"""


def config_of(seeds: str = "0-2", confidence: float = 0.95) -> ExperimentConfig:
    config = parse_config(TEXT.replace("SEEDS", seeds), Path("a.yml"))
    return replace(config, statistics=replace(config.statistics, confidence=confidence, looks=(5, 10)))


def test_a_rule_declared_before_the_first_run_is_unchanged(tmp_path: Path) -> None:
    declare(config_of(), tmp_path, n_begun=0)
    declare(config_of(), tmp_path, n_begun=6)

    history = rule_history(config_of(), tmp_path)

    assert history.sentence.startswith("unchanged since before the first run (20")
    assert history.changes == ()
    (entry,) = json.loads((tmp_path / RULE_NAME).read_text())
    assert entry["digest"] == history.digest
    assert (entry["n_begun"], entry["statistics"]["looks"]) == (0, [5, 10])


def test_what_was_changed_after_the_first_run_is_named(tmp_path: Path) -> None:
    declare(config_of(), tmp_path, n_begun=0)

    history = rule_history(config_of("0-3", confidence=0.9), tmp_path)

    assert history.changes == (
        "confidence is 0.9, was 0.95",
        "2 runs (a2c CartPole-v1 seed 3, ppo CartPole-v1 seed 3) added to the plan",
    )
    assert history.sentence.startswith("declared before the first run (")
    assert "and changed since: confidence is 0.9, was 0.95; " in history.sentence


def test_removed_runs_and_other_settings_of_runs_are_named(tmp_path: Path) -> None:
    declare(config_of(), tmp_path, n_begun=0)
    fewer = config_of("0-1")
    (env,) = fewer.environments

    changes = rule_history(replace(fewer, environments=(replace(env, n_timesteps=2000),)), tmp_path).changes

    assert changes[0] == "2 runs (a2c CartPole-v1 seed 2, ppo CartPole-v1 seed 2) removed from the plan"
    assert changes[1].startswith("4 runs (a2c CartPole-v1 seed 0, ")
    assert changes[1].endswith(", ...) with other settings")


def test_a_rule_that_was_changed_and_restored_is_not_called_untouched(tmp_path: Path) -> None:
    for confidence in (0.95, 0.9, 0.95):
        declare(config_of(confidence=confidence), tmp_path, n_begun=0)

    assert rule_history(config_of(), tmp_path).sentence.endswith(", with 1 other version in between")


def test_a_rule_recorded_after_runs_had_begun_is_not_known_before(tmp_path: Path) -> None:
    declare(config_of(), tmp_path, n_begun=4)

    sentence = rule_history(config_of(), tmp_path).sentence

    assert sentence.startswith("not known before 20")
    assert sentence.endswith(", when 4 runs had begun already; unchanged since")


def test_the_rule_of_an_older_experiment_is_not_known(tmp_path: Path) -> None:
    assert rule_history(config_of(), tmp_path).sentence.startswith("not known: there is no rule.json")


@pytest.mark.parametrize("text", ["{", "[1]", '[{"digest": "0"}]', "null"])
def test_a_damaged_record_of_the_rule_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / RULE_NAME).write_text(text)

    assert rule_history(config_of(), tmp_path).sentence == "not known: rule.json is damaged"
    with pytest.raises(RecordError, match=r"rule\.json: cannot be read .* move it away to record the rule anew"):
        declare(config_of(), tmp_path, n_begun=0)


def test_an_entry_that_was_edited_later_is_found(tmp_path: Path) -> None:
    declare(config_of(), tmp_path, n_begun=0)
    path = tmp_path / RULE_NAME
    path.write_text(path.read_text().replace('"confidence": 0.95', '"confidence": 0.9'))

    assert rule_history(config_of(confidence=0.9), tmp_path).sentence == "not known: rule.json is damaged"
