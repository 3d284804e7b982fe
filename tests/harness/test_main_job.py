from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from harness import main_job as module
from harness.config import ExperimentConfig, parse_config
from harness.errors import HarnessError, RecordError
from harness.experiment.plan import plan
from harness.experiment.run_records import read_record, write_record
from harness.main_job import compare
from harness.training.executors.executor import Limits
from harness.training.executors.local import LocalExecutor
from tests.harness.toy_subjects import FAULTY_ENV, MODULE
from tests.harness.training.same_results import differences
from tests.results_factory import failed

ROOT = Path(__file__).parents[2]

SECTIONS = {
    "name": "tiny",
    "algorithms": "[custom_ppo, ppo]",
    "environments": f"{{'{FAULTY_ENV}': {{n_timesteps: 128}}}}",
    "seeds": "0-2",
    "evaluation": "{n_evaluations: 2, n_eval_episodes: 2, n_final_episodes: 3}",
    "statistics": "{n_bootstrap: 50, last_episodes: 5, smoothing_window: 3}",
    "hyperparameters": "{ppo: {default: {policy: MlpPolicy, n_envs: 2, n_steps: 64, batch_size: 64, n_epochs: 2}}}",
}


def text_of(**changes: str) -> str:
    return "".join(f"{key}: {value}\n" for key, value in (SECTIONS | changes).items())


def config_of(**changes: str) -> ExperimentConfig:
    return parse_config(text_of(**changes), Path("tiny.yml"))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def printed_lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip figures, which take seconds and are tested elsewhere."""
    monkeypatch.setattr("harness.analysis.report.draw_all", lambda *_, **__: [])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the tiny comparison without interruption; return its folder."""
    out = tmp_path_factory.mktemp("whole") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.analysis.report.draw_all", lambda *_, **__: [])
        assert compare(config_of(), out, 2, Console(quiet=True)) == 0
    return out


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """Copy the results of the tiny comparison, so that a test may change them."""
    return Path(shutil.copytree(whole, tmp_path / "results"))


def tables_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "tables").iterdir())}


def record_times(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("run.json")}


def test_a_comparison_writes_runs_tables_and_the_experiment(whole: Path) -> None:
    assert len(record_times(whole)) == 6
    names = ("pairwise", "self_test", "stability", "summary")
    for_readers = {f"{name}.{suffix}" for name in names for suffix in ("csv", "md", "parquet", "tex")}
    assert set(tables_of(whole)) == for_readers | {"runs.csv", "runs.parquet"}
    (declared,) = json.loads((whole / "rule.json").read_text())
    assert declared["n_begun"] == 0
    again = parse_config((whole / "experiment.yml").read_text(), whole / "experiment.yml")
    assert plan(again) == plan(config_of())


def test_custom_ppo_and_ppo_have_the_verdict_identical(whole: Path) -> None:
    (verdict,) = pd.read_csv(whole / "tables" / "pairwise.csv")["verdict"]

    assert verdict == "identical"


@pytest.mark.usefixtures("_no_figures")
def test_a_note_of_the_preflight_is_printed_before_the_runs(
    finished: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(finished.rglob("run.json")).unlink()
    note = ["engine: fused [native is not available]"]
    monkeypatch.setattr(module, "outcomes_of_calls", lambda _, calls, **__: [([], note) for _ in calls])

    assert compare(config_of(), finished, 2, console) == 0

    assert printed_lines(console)[1] == "engine: fused [native is not available]"


@pytest.mark.usefixtures("_no_figures")
def test_a_second_call_runs_nothing_and_writes_the_same_tables(finished: Path, console: Console) -> None:
    before, runs = tables_of(finished), record_times(finished)

    assert compare(config_of(), finished, 2, console) == 0

    assert tables_of(finished) == before
    assert record_times(finished) == runs
    assert printed_lines(console)[0] == f"6 runs in {finished}: 6 finished, nothing to run"


@pytest.mark.usefixtures("_no_figures")
def test_changed_statistics_are_written_even_if_nothing_is_run(finished: Path, console: Console) -> None:
    compare(config_of(statistics="{confidence: 0.5, n_bootstrap: 50}"), finished, 2, console)

    assert parse_config((finished / "experiment.yml").read_text(), Path("e.yml")).statistics.confidence == 0.5


@pytest.mark.usefixtures("_no_figures")
def test_a_seed_removed_from_the_experiment_does_not_count(finished: Path, console: Console) -> None:
    compare(config_of(seeds="[0, 2]"), finished, 2, console)

    runs = pd.read_csv(finished / "tables" / "runs.csv")
    assert runs[["algo", "seed"]].to_numpy().tolist() == [[a, s] for a in ("custom_ppo", "ppo") for s in (0, 2)]
    assert len(record_times(finished)) == 6


@pytest.mark.usefixtures("_no_figures")
def test_a_killed_comparison_continues_where_it_stopped(whole: Path, tmp_path: Path, console: Console) -> None:
    (tmp_path / "tiny.yml").write_text(text_of())
    out = tmp_path / "results"
    command = [sys.executable, "-m", "harness", "compare", str(tmp_path / "tiny.yml"), "--out", str(out), "-j", "1"]
    command += ["--trust", "tests"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]  # the plan and two finished runs
        process.send_signal(signal.SIGKILL)
    assert "[2/6] finished" in lines[2]
    time.sleep(0.2)  # workers end within milliseconds of their parent
    before = record_times(out)
    assert 2 <= len(before) < 6

    assert compare(config_of(), out, 2, console) == 0

    assert (
        printed_lines(console)[0] == f"6 runs in {out}: {len(before)} finished, {6 - len(before)} to run on 2 workers"
    )
    assert record_times(out).items() >= before.items()
    for name in ("runs", "summary", "pairwise", "stability"):
        resumed, uninterrupted = (pd.read_csv(folder / "tables" / f"{name}.csv") for folder in (out, whole))
        times = [column for column in resumed if column in ("train_seconds", "wall_seconds", "fps")]
        pd.testing.assert_frame_equal(resumed.drop(columns=times), uninterrupted.drop(columns=times), check_exact=True)


def test_results_of_other_settings_are_refused(finished: Path, console: Console) -> None:
    other = SECTIONS["hyperparameters"].replace("n_epochs: 2", "n_epochs: 3, gamma: 0.9")
    before = tables_of(finished), record_times(finished)

    with pytest.raises(RecordError) as error:
        compare(config_of(hyperparameters=other), finished, 1, console)

    assert str(error.value) == (
        f"{finished}/runs/custom_ppo/{FAULTY_ENV}_1: holds a run with other settings "
        "(n_epochs was 2 and is now 3, gamma was unset and is now 0.9); "
        "choose another name or --out for the new runs, or move the old results away"
    )
    assert (tables_of(finished), record_times(finished)) == before


def test_three_of_many_changed_settings_are_named(finished: Path, console: Console) -> None:
    other = SECTIONS["hyperparameters"].replace("n_epochs: 2", "gamma: 0.9, ent_coef: 0.1")
    environments = f"{{'{FAULTY_ENV}': {{n_timesteps: 256}}}}"

    with pytest.raises(RecordError) as error:
        compare(config_of(hyperparameters=other, environments=environments), finished, 1, console)

    assert (
        "(n_timesteps was 128 and is now 256, eval_freq was 64 and is now 128, n_epochs was 2 and is now unset "
        "and 2 more)"
    ) in str(error.value)


@pytest.mark.usefixtures("_no_figures")
def test_failed_runs_are_counted_and_tried_again(tmp_path: Path, console: Console) -> None:
    broken = f"{{broken: {{class: '{MODULE}:RaisesInUpdate', hyperparameters_of: ppo}}}}"
    config = config_of(algorithms=f"[custom_ppo, {broken}]", seeds="0-1")

    assert compare(config, tmp_path, 2, console) == 2
    assert compare(config, tmp_path, 2, console) == 2

    lines = printed_lines(console)
    assert f"4 runs in {tmp_path}: 2 finished, 2 to run (2 of them failed before) on 2 workers" in lines
    assert any(line.endswith("seed 1: RuntimeError: the rotor fell off [/dev/rotor]") for line in lines)
    summary = pd.read_csv(tmp_path / "tables" / "summary.csv")
    assert summary[["algo", "n_runs", "n_seeds", "n_failed"]].to_numpy().tolist() == [
        ["custom_ppo", 2, 2, 0],
        ["broken", 2, 0, 2],
    ]
    assert "| 0/2 " in (tmp_path / "tables" / "summary.md").read_text()
    assert len(list(tmp_path.rglob("failed-1.json"))) == 2


@pytest.mark.usefixtures("_no_figures")
def test_one_failed_run_of_ten_leaves_nine(finished: Path, console: Console) -> None:
    path = finished / "runs" / plan(config_of())[0].run_dir
    record = read_record(path)
    assert record is not None
    write_record(path, failed(record))
    from harness.analysis.report import write_report

    write_report(config_of(), finished / "runs", finished, console)

    assert any(line.split()[:2] == ["custom_ppo", "2/3"] for line in printed_lines(console))


@pytest.mark.usefixtures("_no_figures")
def test_a_single_algorithm_makes_tables_without_pairs(tmp_path: Path, console: Console) -> None:
    assert compare(config_of(algorithms="[ppo]", seeds="[4]"), tmp_path, 1, console) == 0

    assert len(pd.read_csv(tmp_path / "tables" / "summary.csv")) == 1
    assert pd.read_csv(tmp_path / "tables" / "pairwise.csv").empty
    assert pd.read_csv(tmp_path / "tables" / "stability.csv").empty


def test_problems_are_reported_before_the_first_run(tmp_path: Path, console: Console) -> None:
    config = config_of(environments="{CartPol-v1: {n_timesteps: 128}, CartPole-v9: {n_timesteps: 128}}")

    with pytest.raises(HarnessError) as error:
        compare(config, tmp_path / "new", 1, console)

    assert str(error.value).splitlines() == [
        "environment 'CartPol-v1' is not registered with gymnasium, did you mean CartPole-v1?",
        "environment 'CartPole-v9' is not registered with gymnasium, did you mean CartPole-v1?",
    ]
    assert not (tmp_path / "new" / "runs").exists()
    assert not (tmp_path / "new" / "experiment.yml").exists()


def test_a_second_harness_on_the_same_folder_is_refused(tmp_path: Path, console: Console) -> None:
    with module._exclusive_access(tmp_path), pytest.raises(HarnessError) as error:
        compare(config_of(), tmp_path, 1, console)

    assert (
        str(error.value)
        == f"{tmp_path}: another harness (process {os.getpid()}) is writing here; wait until it has ended"
    )


@pytest.mark.usefixtures("_no_figures")
def test_the_lock_of_an_ended_harness_is_released(finished: Path, console: Console) -> None:
    with pytest.raises(RuntimeError), module._exclusive_access(finished):
        raise RuntimeError

    assert compare(config_of(), finished, 1, console) == 0


@pytest.mark.parametrize(("below", "reason"), [("", "File exists"), ("sub", "Not a directory")])
def test_a_file_in_place_of_the_results_folder_is_reported(
    tmp_path: Path, console: Console, below: str, reason: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    out = tmp_path / "taken" / below

    with pytest.raises(HarnessError) as error:
        compare(config_of(), out, 1, console)

    assert str(error.value) == f"{out}: cannot be written ({reason})"


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(module, "_open_no_link", refuse)
    with pytest.raises(HarnessError) as error:
        compare(config_of(), tmp_path, 1, console)

    assert str(error.value) == f"{tmp_path}: cannot be written (Permission denied)"


def test_a_nearly_full_disk_is_reported_before_the_first_run(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=150 * 2**20))

    with pytest.raises(HarnessError) as error:
        compare(config_of(), tmp_path, 1, console)

    assert str(error.value) == f"{tmp_path}: only 150 MiB are free on this disk, at least 200 are needed"


@pytest.mark.usefixtures("_no_figures")
def test_brackets_in_the_name_of_a_folder_are_shown_as_they_are(whole: Path, tmp_path: Path, console: Console) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "results[/v2]"))

    compare(config_of(), out, 1, console)

    assert printed_lines(console)[0] == f"6 runs in {out}: 6 finished, nothing to run"
    assert f"runs    {out / 'runs'}  (everything that each run left)" in printed_lines(console)


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("raise", "cannot be made (RuntimeError: the rotor fell off [/dev/rotor])"),
        ("exit", "cannot be tried out (a worker process died (exit code 3))"),
        ("hang", "cannot be tried out (a worker process has not answered for 5 s)"),
    ],
)
def test_a_constructor_that_fails_costs_only_its_own_runs(
    trouble: str, reason: str, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 5.0)
    kwargs = f"env_kwargs: {{trouble: {trouble}, when: constructor}}"
    environments = f"{{'{FAULTY_ENV}': {{n_timesteps: 128, {kwargs}}}, CartPole-v1: {{n_timesteps: 128}}}}"
    config = config_of(algorithms="[ppo]", environments=environments, seeds="[0, 1]")

    failed_runs = compare(config, tmp_path, 2, console, executor=LocalExecutor(2, Limits(stall_seconds=2.0)))

    assert failed_runs == 2
    assert printed_lines(console)[1] == f"{FAULTY_ENV} {reason}: its runs are started all the same"
    summary = pd.read_csv(tmp_path / "tables" / "summary.csv")
    assert summary[["env", "n_failed"]].to_numpy().tolist() == [[FAULTY_ENV, 2], ["CartPole-v1", 0]]


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def long_number(path: Path) -> None:
    path.write_text('{"schema": ' + "1" * 10_000 + "}")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def change_a_digit(path: Path) -> None:
    path.write_text(path.read_text().replace('"steps": 128', '"steps": 129'))


def become_folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def become_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def lead_elsewhere(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    (path.parents[4] / "elsewhere").write_bytes(content)
    path.symlink_to(path.parents[4] / "elsewhere")


DAMAGES = [
    *(("run.json", damage) for damage in (deep, long_number, truncate, change_a_digit, become_folder, become_loop)),
    ("run.json", become_pipe),
    *(("0.monitor.csv", damage) for damage in (truncate, become_folder, lead_elsewhere, Path.unlink)),
    ("evaluations.npz", truncate),
    ("best_model.zip", truncate),
]


@pytest.mark.usefixtures("_no_figures")
@pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_a_damaged_run_is_moved_away_and_run_again(
    name: str, damage: Callable[[Path], None], finished: Path, whole: Path, console: Console
) -> None:
    run = plan(config_of())[1].run_dir
    damage(finished / "runs" / run / name)

    assert compare(config_of(), finished, 2, console) == 0

    first, second = printed_lines(console)[:2]
    assert str(finished / "runs" / run) in first
    assert first.endswith(f"; moved to {finished / 'set_aside' / run}.1, and run again")
    assert second == f"6 runs in {finished}: 5 finished, 1 to run on 2 workers"
    assert list(differences(whole / "runs" / run, finished / "runs" / run)) == []


@pytest.mark.usefixtures("_no_figures")
def test_a_link_in_place_of_a_run_is_not_followed(finished: Path, console: Console, tmp_path: Path) -> None:
    run = finished / "runs" / plan(config_of())[0].run_dir
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "diary.txt").write_text("dear")
    shutil.rmtree(run)
    run.symlink_to(tmp_path / "private")

    assert compare(config_of(), finished, 2, console) == 0

    assert [path.name for path in (tmp_path / "private").iterdir()] == ["diary.txt"]
    assert not run.is_symlink()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path, console: Console) -> None:
    (tmp_path / "precious").write_text("text")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "precious")

    with pytest.raises(HarnessError, match="cannot be written"):
        compare(config_of(), tmp_path / "out", 1, console)

    assert (tmp_path / "precious").read_text() == "text"


@pytest.mark.usefixtures("_no_figures")
def test_models_that_were_removed_are_not_missed(finished: Path, console: Console) -> None:
    for path in finished.rglob("*.zip"):
        path.unlink()

    assert compare(config_of(), finished, 2, console) == 0

    assert printed_lines(console)[0] == f"6 runs in {finished}: 6 finished, nothing to run"


def test_a_full_disk_during_a_run_stops_all_and_leaves_no_record(tmp_path: Path, console: Console) -> None:
    environments = f"{{'{FAULTY_ENV}': {{n_timesteps: 128, env_kwargs: {{trouble: full disk}}}}}}"

    with pytest.raises(HarnessError) as error:
        compare(config_of(environments=environments), tmp_path, 1, console)

    assert str(error.value).endswith("the result cannot be written (OSError: [Errno 28] no space left on this disk)")
    assert list(tmp_path.rglob("run.json")) == []
    assert list(tmp_path.rglob("*.tmp")) == []


FULL_DISK = """
set -e
mount -t tmpfs -o size={size}k tmpfs {out}
set +e
{python} -c "
import sys
import harness.main_job as job
job.MIN_FREE_BYTES = 0
from harness.cli import main
sys.argv = ['harness', 'compare', '{config}', '--out', '{out}', '-j', '2']
main()"
echo "exit code $?"
cp -r {out} {copy}
"""


@pytest.mark.slow
def test_a_disk_that_fills_up_loses_and_spoils_nothing(whole: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "small", tmp_path / "copy"
    out.mkdir()
    (tmp_path / "tiny.yml").write_text(text_of())
    script = FULL_DISK.format(size=700, out=out, python=sys.executable, config=tmp_path / "tiny.yml", copy=copy)
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    if "exit code" not in done.stdout:
        pytest.skip("file systems cannot be mounted here")

    assert done.stdout.endswith("exit code 1\n"), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "no space left" in done.stderr.lower()
    kept = [path.parent.relative_to(copy / "runs") for path in copy.rglob("run.json")]
    assert 0 < len(kept) < 6
    for run in kept:
        assert list(differences(whole / "runs" / run, copy / "runs" / run)) == []
