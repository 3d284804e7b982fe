from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib.figure
import pandas as pd
import pytest
from rich.console import Console

import harness
from harness import Report, compare, evaluate, load_results
from harness.config import StatisticsConfig, parse_config, resolved_text
from harness.errors import ConfigError, RecordError
from harness.experiment.plan import plan
from tests.harness.evaluation.stored import trained_run
from tests.results_factory import failed, make_record, make_spec, write_experiment, write_run

EXPERIMENT: dict[str, Any] = {
    "name": "tiny",
    "algorithms": ["ppo"],
    "environments": {"CartPole-v1": {"n_timesteps": 128}},
    "seeds": "0-1",
    "evaluation": {"n_evaluations": 1, "n_eval_episodes": 1, "n_final_episodes": 2},
    "statistics": {"n_bootstrap": 50},
    "hyperparameters": {
        "ppo": {"default": {"policy": "MlpPolicy", "n_steps": 64, "batch_size": 64, "n_epochs": 1}},
    },
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    root = write_experiment(tmp_path_factory.mktemp("results"), envs=("CartPole-v1",), n_seeds=4)
    (root / "experiment.yml").unlink()
    return load_results(root, statistics=StatisticsConfig(n_bootstrap=50))


def test_a_mapping_is_trained_and_its_results_are_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(harness.__file__).parents[1]))
    main = dict(vars(sys.modules["__main__"]))

    report = compare(EXPERIMENT, workers=2, quiet=True)

    assert report.runs[["seed", "status"]].to_numpy().tolist() == [[0, "finished"], [1, "finished"]]
    assert (tmp_path / "results" / "tiny" / "tables" / "summary.csv").exists()
    assert vars(sys.modules["__main__"]) == main, "what was hidden from the workers is back"
    again = evaluate("results/tiny")
    assert again["score"].tolist() == report.runs["score"].tolist()


def test_a_file_a_mapping_and_a_config_are_the_same_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr("harness.main_job.compare", lambda config, *_, **__: given.append(config))
    monkeypatch.setattr("harness.api.load_results", lambda folder: folder)
    read = harness.api._reading(EXPERIMENT).config
    assert read is not None
    config = parse_config(resolved_text(read), tmp_path / "a.yml")
    (tmp_path / "a.yml").write_text(config.text)

    folders = [
        compare(EXPERIMENT, check=False),
        compare(config, out="there", check=False),
        compare(str(tmp_path / "a.yml"), check=False),
    ]

    assert [plan(config) for config in given] == [plan(config)] * 3
    assert folders == [Path("results/tiny"), Path("there"), Path("results/tiny")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": "x"}, 'experiment: seeds: expected a count >= 1, a range such as 0-9, or a list, got the text "x"'),
        ({"algorithms": ["pp0"]}, "experiment: algorithms[0]: no algorithm is registered as pp0, did you mean ppo?"),
        ({"seeds": object()}, "experiment: expected plain data such as in a YAML file"),
    ],
)
def test_a_mistake_in_a_mapping_is_named_without_a_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        compare({**EXPERIMENT, **change})

    assert str(error.value).startswith(message)


def test_mistakes_that_only_a_trial_finds_are_raised_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as error:
        compare({**EXPERIMENT, "environments": {"CartPol-v1": {"n_timesteps": 128}}}, quiet=True)

    assert "environment 'CartPol-v1' is not registered with gymnasium, did you mean CartPole-v1?" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_imported_only_if_it_is_trusted() -> None:
    foreign = {**EXPERIMENT, "algorithms": [{"mine": {"class": "my_agents:Mine", "hyperparameters_of": "ppo"}}]}

    with pytest.raises(ConfigError, match="would import my_agents, which runs its code"):
        compare(foreign, check=False)

    config = harness.api._validated(foreign, ["my_agents"], False, Console(quiet=True))
    assert config.trusted_packages == ("my_agents",)


def test_results_have_tables_as_dataframes(report: Report) -> None:
    tables = (report.runs, report.episodes, report.evaluations, report.progress)
    made = (report.metrics, report.summary, report.pairwise, report.stability)

    assert all(isinstance(table, pd.DataFrame) and len(table) for table in (*tables, *made))
    assert len(report.runs) == len(report.metrics) == 12
    assert len(report.pairwise) == 3
    assert report.summary is report.summary, "computed once"


def test_every_figure_is_one_of_matplotlib(report: Report) -> None:
    assert {"iqm_curves", "final_scores"} <= set(report.figure_names)

    assert isinstance(report.figure("iqm_curves"), matplotlib.figure.Figure)
    with pytest.raises(KeyError, match=r"there is no figure 'iqm'; there are .*iqm_curves"):
        report.figure("iqm")


def test_results_of_an_experiment_include_missing_runs(tmp_path: Path) -> None:
    experiment = harness.api._reading(EXPERIMENT).config
    assert experiment is not None
    (tmp_path / "experiment.yml").write_text(resolved_text(experiment))
    write_run(tmp_path, make_record(plan(experiment)[1], [5.0]))

    found = load_results(tmp_path)

    assert found.runs["status"].tolist() == ["missing", "finished"]
    assert found.statistics.n_bootstrap == 50
    assert load_results(tmp_path, statistics=StatisticsConfig()).statistics.n_bootstrap == 2000


def test_a_folder_is_needed() -> None:
    with pytest.raises(RecordError, match=r"needs a folder, such as results/compare"):
        load_results()


def test_agents_are_evaluated_and_failed_runs_are_rows(tmp_path: Path) -> None:
    _, record, _ = trained_run(tmp_path)
    write_run(tmp_path, failed(make_record(make_spec(seed=2))))

    table = evaluate(tmp_path, workers=1)

    assert table["rewards"].tolist() == [record.final_rewards, ()]
    assert table["error"].tolist() == ["", "failed: ValueError: NaN in the policy"]
    assert table["n_episodes"].tolist() == [3, 0]
    assert table["score"].isna().tolist() == [False, True]


def test_unknown_names_of_the_package_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'comapre'"):
        harness.comapre  # noqa: B018
    assert {"compare", "evaluate", "load_results"} <= set(dir(harness))
