from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure

from harness.analysis.report import _verdict_line, check_writable, default_out, report_folders, write_report
from harness.config import ReferenceScores, StatisticsConfig, parse_config
from harness.errors import HarnessError, RecordError
from harness.experiment.declaration import declare
from harness.experiment.plan import plan
from tests.results_factory import failed, make_record, write_experiment, write_monitor, write_run

STATISTICS = StatisticsConfig(n_bootstrap=50, references={"CartPole-v1": ReferenceScores(20.0, 500.0)})
TEXT = """
name: small
algorithms: [custom_ppo, ppo, a2c]
environments: {CartPole-v1: {n_timesteps: 1000}}
seeds: SEEDS
statistics: {n_bootstrap: 50}
hyperparameters: {ppo: {default: {policy: MlpPolicy}}, a2c: {default: {policy: MlpPolicy}}}
"""


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.analysis.report.draw_all", lambda *_, **__: [])


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def console_text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_plain_log_of_sb3_is_reported_like_a_run_of_the_harness(tmp_path: Path, console: Console) -> None:
    folder = tmp_path / "logs" / "ppo" / "CartPole-v1_1"
    env = make_vec_env("CartPole-v1", seed=0, monitor_dir=str(folder))
    evaluation = EvalCallback(
        make_vec_env("CartPole-v1", seed=1), eval_freq=128, n_eval_episodes=2, log_path=str(folder), verbose=0
    )
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0)
    model.set_logger(configure(str(folder), ["csv"]))
    model.learn(256, callback=evaluation)

    report_folders([tmp_path / "logs"], STATISTICS, tmp_path / "report", console)

    (run,) = pd.read_csv(tmp_path / "report" / "tables" / "runs.csv").to_dict("records")
    assert (run["algo"], run["env"], run["status"], run["score_source"]) == (
        "ppo",
        "CartPole-v1",
        "foreign",
        "last_evaluation",
    )
    assert run["score"] == evaluation.last_mean_reward
    assert run["last_mean"] > 0
    figures = {path.name for path in (tmp_path / "report" / "plots").iterdir()}
    assert (
        {path.removesuffix(".png") for path in figures if path.endswith(".png")}
        == {path.removesuffix(".svg") for path in figures if path.endswith(".svg")}
        != set()
    )
    assert re.search(r"\n plots   |\nplots   ", console_text(console))
    assert not re.search(r"\nruns ", console_text(console))  # the report has no such folder


@pytest.mark.usefixtures("_no_figures")
def test_only_planned_runs_count_and_absent_ones_are_missing(tmp_path: Path, console: Console) -> None:
    config = parse_config(TEXT.replace("SEEDS", "[0, 1, 2]"), Path("a.yml"))
    for spec in plan(parse_config(TEXT.replace("SEEDS", "0-3"), Path("a.yml"))):
        if (spec.algo, spec.seed) == ("a2c", 1):
            continue
        record = make_record(spec, [float(spec.seed + len(spec.algo)), 2.0])
        write_run(tmp_path, failed(record) if (spec.algo, spec.seed) == ("ppo", 0) else record)

    write_report(config, tmp_path / "runs", tmp_path, console)

    summary = pd.read_csv(tmp_path / "tables" / "summary.csv")
    counts = summary[["algo", "n_runs", "n_seeds", "n_failed", "n_missing"]].to_numpy().tolist()
    assert counts == [["custom_ppo", 3, 3, 0, 0], ["ppo", 3, 2, 1, 0], ["a2c", 3, 2, 0, 1]]
    assert set(pd.read_csv(tmp_path / "tables" / "runs.csv")["seed"]) == {0, 1, 2}


@pytest.mark.usefixtures("_no_figures")
def test_the_output_ends_with_the_verdicts_as_sentences(tmp_path: Path, console: Console) -> None:
    write_experiment(tmp_path, envs=("CartPole-v1",), n_seeds=3, n_timesteps=5_000)

    report_folders([tmp_path], STATISTICS, tmp_path, console)
    report_folders([tmp_path], StatisticsConfig(n_bootstrap=50), tmp_path, console)

    text = " ".join(console_text(console).split())
    assert "equivalence within ±48 has p = " in text
    assert "3 seeds cannot exclude a rare collapse, of up to 63% of all runs" in text
    assert "custom_ppo is identical to ppo: the trained parameters are bit-equal for every seed" in text
    assert "a2c against custom_ppo: inconclusive, permutation test p = " in text
    assert "(with so few seeds it cannot fall below 0.1)" in text


@pytest.mark.usefixtures("_no_figures")
def test_a_rule_that_was_changed_after_the_runs_is_named(tmp_path: Path, console: Console) -> None:
    text = TEXT.replace("SEEDS", "[0, 1]")
    declare(parse_config(text, Path("a.yml")), tmp_path, n_begun=0)
    for spec in plan(parse_config(text, Path("a.yml"))):
        write_run(tmp_path, make_record(spec))

    pages = [
        write_report(parse_config(one, Path("a.yml")), tmp_path / "runs", tmp_path, console).read_text()
        for one in (text, text.replace("{n_bootstrap: 50}", "{n_bootstrap: 50, confidence: 0.9}"))
    ]

    assert "unchanged since before the first run" in pages[0]
    assert "The rule is not that of before the runs: confidence is 0.9, was 0.95." in pages[1]
    assert console_text(console).count("and changed since: confidence is 0.9, was 0.95") == 1


@pytest.mark.usefixtures("_no_figures")
def test_one_confidence_governs_decisions_and_intervals(tmp_path: Path, console: Console) -> None:
    scores = {"ppo": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "a2c": [0.0, 0.5, 1.5, 2.5, 3.5, 0.2]}
    for spec in plan(parse_config(TEXT.replace("SEEDS", "0-5"), Path("a.yml"))):
        if spec.algo in scores:
            write_run(tmp_path, make_record(spec, [scores[spec.algo][spec.seed]] * 2))

    def row_at(confidence: float) -> pd.Series:
        statistics = StatisticsConfig(n_bootstrap=50, confidence=confidence)
        report_folders([tmp_path], statistics, tmp_path / f"{confidence}", console)
        (row,) = (row for _, row in pd.read_csv(tmp_path / f"{confidence}" / "tables" / "pairwise.csv").iterrows())
        return row

    strict, lenient = row_at(0.95), row_at(0.9)

    assert 0.05 < strict["p_holm"] == lenient["p_holm"] < 0.1
    assert (strict["verdict"], lenient["verdict"]) == ("inconclusive", "worse")
    assert strict["difference_high"] > 0 > lenient["difference_high"]
    for prefix in ("improvement", "hedges_g"):
        assert lenient[f"{prefix}_high"] - lenient[f"{prefix}_low"] < strict[f"{prefix}_high"] - strict[f"{prefix}_low"]
    assert "not below 0.05" in strict["reason"]
    assert ", below 0.1" in lenient["reason"]
    assert (pd.read_csv(tmp_path / "0.9" / "tables" / "self_test.csv")["level"] == 0.1).all()
    assert "Level</dt><dd>0.1 for all claims" in (tmp_path / "0.9" / "report.html").read_text()


@pytest.mark.parametrize("outcome", ["better", "inconclusive"])
def test_a_verdict_names_the_measure_if_there_are_several(outcome: str) -> None:
    row = {"first": "a2c", "second": "ppo", "verdict": outcome, "reason": "p = 0.01"}

    line, named = (re.sub(r"\[.*?\]", "", _verdict_line(r)) for r in (row, {**row, "measure": "final score"}))

    expected = {"better": "a2c is better than ppo: p = 0.01", "inconclusive": "a2c against ppo: inconclusive, p = 0.01"}
    assert line == expected[outcome]
    assert named == f"final score: {line}"


@pytest.mark.usefixtures("_no_figures")
def test_the_notes_say_what_the_intervals_really_cover(tmp_path: Path, console: Console) -> None:
    write_experiment(tmp_path, algos=("ppo", "a2c"), envs=("CartPole-v1",), n_seeds=3, n_timesteps=5_000)

    report_folders([tmp_path], STATISTICS, tmp_path, console)

    note = (tmp_path / "tables" / "summary.md").read_text()
    found = re.search(r"\| 3 +\| (\d+)% +\| (\d+)% +\| (\d+)% +\| (\d+)% +\|\n", note)
    assert found is not None
    normal, *others = map(int, found.groups())
    assert normal == pytest.approx(95, abs=2)
    assert max(others) < 90
    assert "3 seeds without a collapse exclude only collapses in more than 63% of all runs" in note


@pytest.mark.usefixtures("_no_figures")
def test_a_single_seed_has_no_coverage_to_simulate(tmp_path: Path, console: Console) -> None:
    write_experiment(tmp_path, algos=("ppo",), envs=("Constant-v0",), n_seeds=1, n_timesteps=5_000)

    report_folders([tmp_path], STATISTICS, tmp_path, console)

    note = (tmp_path / "tables" / "summary.md").read_text().splitlines()[-1]
    assert note == "One seed has no interval."


@pytest.mark.usefixtures("_no_figures")
def test_a_report_of_failed_runs_only_has_no_conclusion(tmp_path: Path, console: Console) -> None:
    config = parse_config(TEXT.replace("SEEDS", "0-1"), Path("a.yml"))
    for spec in plan(config):
        write_run(tmp_path, failed(make_record(spec)))

    write_report(config, tmp_path / "runs", tmp_path, console)

    assert "0/2" in console_text(console)
    assert set(pd.read_csv(tmp_path / "tables" / "pairwise.csv")["verdict"]) == {"inconclusive"}


def test_an_empty_folder_is_an_error(tmp_path: Path, console: Console) -> None:
    with pytest.raises(RecordError) as error:
        report_folders([tmp_path], STATISTICS, tmp_path, console)

    assert str(error.value) == (
        f"{tmp_path}: holds no runs, expected run.json, *monitor.csv, evaluations.npz, progress.csv, "
        "event files of TensorBoard, or a CSV file of scores"
    )


@pytest.mark.usefixtures("_no_figures")
def test_a_log_that_ends_early_is_named(tmp_path: Path, console: Console) -> None:
    for seed, n_episodes in enumerate((100, 40, 100)):
        folder = tmp_path / "logs" / "ppo" / f"CartPole-v1_{seed + 1}"
        write_monitor(folder / "0.monitor.csv", [(10.0, 10)] * n_episodes)

    report_folders([tmp_path / "logs"], STATISTICS, tmp_path / "report", console)

    place = tmp_path / "logs" / "ppo" / "CartPole-v1_2"
    reason = "ended early: after 400 steps, 40% of the 1,000 that are usual here"
    assert f"note: {place}: {reason}; it counts as a failed run" in " ".join(console_text(console).split())


def write_b2(folder: Path, name: str) -> None:
    """Write five logs of A2C and four of PPO, of which one ends at 41%, one at 68%, and one is damaged."""
    steps = {("a2c", 2): 410, ("ppo", 1): 680}
    for algo, n_seeds, reward in (("a2c", 5, 10.0), ("ppo", 4, 100.0)):
        for seed in range(n_seeds):
            n_steps = steps.get((algo, seed), 1000)
            episodes = [(reward + seed, 10)] * (n_steps // 10)
            write_monitor(folder / name.format(algo=algo, seed=seed), episodes)
    path = folder / name.format(algo="ppo", seed=3)
    whole = path.read_bytes()
    assert whole.count(b"103.0,10,0.5\r\n") == 1
    path.write_bytes(whole.replace(b"103.0,10,0.5\r\n", b"\xff\x00\r\n"))


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(
    "name",
    [
        "{algo}_seed{seed}.monitor.csv",
        "{algo}_CartPole_seed{seed}/monitor.csv",
        "CartPole-v1/{algo}/{seed}/0.monitor.csv",
    ],
)
def test_incomplete_and_damaged_logs_give_no_confident_verdict(name: str, tmp_path: Path, console: Console) -> None:
    write_b2(tmp_path / "logs", name)

    report_folders([tmp_path / "logs"], STATISTICS, tmp_path / "report", console)

    pairwise = pd.read_csv(tmp_path / "report" / "tables" / "pairwise.csv").to_dict("records")
    assert [(row["first"], row["second"], row["verdict"]) for row in pairwise] == [("a2c", "ppo", "inconclusive")]
    audit = pd.read_csv(tmp_path / "report" / "tables" / "audit.csv")
    assert audit["status"].value_counts().to_dict() == {"foreign": 6, "failed": 3}
    assert set(audit["env"]) == {"CartPole-v1"}
    text = " ".join(console_text(console).split())
    assert "ended early: after 410 steps, 41% of the 1,000 that are usual here; it counts as a failed run" in text
    assert "unreadable: " in text
    assert (tmp_path / "report" / "tables" / "audit.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "report"]


@pytest.mark.usefixtures("_no_figures")
def test_equal_remarks_are_one_note_and_failed_runs_come_first(tmp_path: Path, console: Console) -> None:
    for seed in range(30):
        path = tmp_path / "logs" / "ppo" / f"Pendulum-v1_{seed}" / "0.monitor.csv"
        write_monitor(path, [(1.0, 10)] * (40 if seed == 25 else 100), env_id="Pendulum-v0")

    report_folders([tmp_path / "logs"], StatisticsConfig(), tmp_path / "report", console)

    lines = console_text(console).splitlines()
    assert lines[0] == "30 runs (29 foreign, 1 failed)"
    assert next(line for line in lines if line.startswith(" Pendulum")).split()[0] == "Pendulum-v1_25"
    notes = [line for line in lines if line.startswith("note: ")]
    assert len(notes) == 2
    assert notes[1].endswith("Pendulum-v1_0 and 28 more: its path names Pendulum-v1, its Monitor file Pendulum-v0")


def test_a_report_is_not_written_among_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_monitor(tmp_path / "logs" / "ppo_seed0.monitor.csv", [(1.0, 1)])
    write_run(tmp_path / "ours", make_record(plan(parse_config(TEXT.replace("SEEDS", "0-0"), Path("a.yml")))[0]))
    monkeypatch.chdir(tmp_path)

    assert default_out([Path("logs")]) == Path("reports/logs")
    assert default_out([Path("ours")]) == Path("ours")
    monkeypatch.chdir(tmp_path / "logs")
    with pytest.raises(HarnessError, match="would be written among the logs; say where, such as --out"):
        default_out([Path()])


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    with pytest.raises(HarnessError) as error:
        check_writable(tmp_path / "taken")

    assert str(error.value) == f"{tmp_path}/taken: cannot be written (File exists); choose another folder with --out"
