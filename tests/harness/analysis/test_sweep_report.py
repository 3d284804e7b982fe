import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis.sweep_report import SweepReport, compared_pairwise, report_sweeps
from harness.analysis.tables import METRICS
from harness.config import ExperimentConfig, StatisticsConfig, parse_config
from harness.experiment.design import designs

TEXT = """
name: x
environments: {{CartPole-v1: {{n_timesteps: 100}}, Pendulum-v1: {{n_timesteps: 100}}}}
seeds: {seeds}
hyperparameters: {{ppo: {{default: {{policy: MlpPolicy}}}}}}
algorithms: [ppo, {{sweep: {{of: custom_ppo, {factors}}}}}]
"""


def experiment(factors: str, seeds: int = 8) -> ExperimentConfig:
    return parse_config(TEXT.format(factors=factors, seeds=seeds), Path("a.yml"))


def runs(config: ExperimentConfig) -> pd.DataFrame:
    """Return runs whose score is clip_range times 1000 plus noise; every other measure is noise."""
    rng = np.random.default_rng(0)
    rows = []
    for algorithm in config.algorithms:
        for env in config.environments:
            for seed in config.seeds:
                score = 1000 * float(str(algorithm.factors.get("clip_range", 0.2))) + rng.normal()
                row = {"algo": algorithm.label, "env": env.env, "seed": seed, "status": "finished", "score": score}
                rows.append(row | {m.name: rng.normal() for m in METRICS if m.name not in row})
    table = pd.DataFrame(rows)
    for name in ("algo", "env"):
        table[name] = pd.Categorical(table[name], list(dict.fromkeys(table[name])), ordered=True)
    return table


def report(config: ExperimentConfig, metrics: pd.DataFrame, out: Path) -> SweepReport:
    made = report_sweeps(designs(config), metrics, StatisticsConfig(), out)
    assert made is not None
    return made


GRID = "clip_range: [0.1, 0.2, 0.3], gae_lambda: [0.9, 0.95]"


def test_the_factor_that_moves_the_score_matters_and_the_other_does_not(tmp_path: Path) -> None:
    config = experiment(GRID)

    made = report(config, runs(config), tmp_path)

    scores = made.effects[made.effects["measure"] == "final score"]
    verdicts = {(row.env, row.effect): row.verdict for row in scores.itertuples()}
    assert verdicts["CartPole-v1", "clip_range"] == "matters"
    assert verdicts["CartPole-v1", "gae_lambda"] == "inconclusive"
    # Levels are 100 apart; the noise depends on how many metrics there are.
    assert re.search(r"0\.3 scores (199|200|201)\.\d \(", made.findings["Pendulum-v1"])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.stat().st_size > 0 for path in written)
    assert {path.name for path in written} >= {"sweep.csv", "sweep.md", "sweep_score.png", "sweep_stability.svg"}
    assert made.figures[0].title == "Final score over clip_range and gae_lambda"


def test_the_cells_mark_the_default_and_the_candidates(tmp_path: Path) -> None:
    config = experiment(GRID)

    cells = report(config, runs(config), tmp_path).cells.query("measure == 'final score' and env == 'CartPole-v1'")

    assert cells.loc[cells["default"], "algo"].tolist() == ["clip_range=0.2,gae_lambda=0.95"]
    assert set(cells.loc[cells["may_be_best"], "clip_range"]) == {"0.3"}


@pytest.mark.parametrize(
    "factors",
    [
        "clip_range: [0.1, 0.2, 0.3]",
        "clip_range: [0.1, 0.2], gae_lambda: [0.9, 1.0], n_epochs: [1, 2]",
        "recipe: [ppo, cleanrl_ppo], clip_range: [0.1, 0.2]",
        "clip_range: [" + ", ".join(str(k / 100) for k in range(1, 31)) + "]",
        "gae_lambda: [0.9, 0.95], clip_range: [" + ", ".join(str(k / 100) for k in range(1, 31)) + "]",
    ],
    ids=["one factor", "three factors", "names", "30 levels", "two by 30 levels"],
)
def test_every_number_of_factors_and_levels_is_drawn(factors: str, tmp_path: Path) -> None:
    config = experiment(factors, seeds=3)

    made = report(config, runs(config), tmp_path)

    assert {figure.png.name for figure in made.figures} >= {"sweep_score.png", "sweep_stability.png"}


def test_one_seed_is_reported_without_any_test(tmp_path: Path) -> None:
    config = experiment(GRID, seeds=1)

    made = report(config, runs(config), tmp_path)

    assert set(made.effects["verdict"]) == {"not tested"}
    assert "one seed shows no spread" in made.findings["CartPole-v1"]
    assert "may be the best" not in made.findings["CartPole-v1"]


def test_failed_runs_are_counted_and_scored(tmp_path: Path) -> None:
    config = experiment(GRID)
    metrics = runs(config)
    broken = metrics["algo"].astype(str).str.contains("0.3") & (metrics["seed"] == 0)
    metrics.loc[broken, "status"] = "failed"
    metrics.loc[broken, [metric.name for metric in METRICS]] = np.nan

    made = report(config, metrics, tmp_path)

    assert made.effects.loc[made.effects["measure"] == "final score", "n_failed"].tolist()[0] == 2
    assert "2 failed runs count as" in made.findings["CartPole-v1"]


def test_a_measure_without_any_number_is_left_untested(tmp_path: Path) -> None:
    config = experiment(GRID)
    metrics = runs(config).assign(share_lost=np.nan, fluctuation=np.nan)  # as of very short trainings

    made = report(config, metrics, tmp_path)

    verdicts = made.effects.groupby("measure")["verdict"].agg(set)
    assert verdicts["share lost again"] == verdicts["fluctuation"] == {"not tested"}
    assert "matters" in verdicts["final score"]


def test_runs_that_all_failed_leave_an_empty_report(tmp_path: Path) -> None:
    config = experiment(GRID)
    metrics = runs(config).assign(status="failed", **{metric.name: np.nan for metric in METRICS})

    made = report(config, metrics, tmp_path)

    assert set(made.effects["verdict"]) == {"not tested"}
    assert made.figures == ()


def test_a_combination_without_any_result_leaves_the_factors_untested(tmp_path: Path) -> None:
    config = experiment(GRID)
    metrics = runs(config)
    metrics = metrics[metrics["algo"] != "clip_range=0.1,gae_lambda=0.9"]

    made = report(config, metrics, tmp_path)

    assert "was not tested, as a combination has no result" in made.findings["CartPole-v1"]


def test_pairs_leave_out_all_combinations_but_the_default() -> None:
    config = experiment(GRID)

    paired = compared_pairwise(runs(config), designs(config), StatisticsConfig())

    assert set(paired["algo"]) == {"ppo", "clip_range=0.2,gae_lambda=0.95"}
