from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.config import parse_config, resolved_text
from harness.experiment.plan import plan
from harness.experiment.run_records import read_record
from harness.training.executors.processes import children_of
from tests.harness.evaluation.stored import trained_run
from tests.harness.processes import is_loading_torch, is_running, wait_until
from tests.results_factory import make_record, make_spec, write_experiment, write_run

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("compare", "train", "report", "verify", "crosscheck", "bench", "check-config", "schema"),
    *("evaluate", "watch", "list", "clean"),
)

CONFIG = """\
name: tiny
algorithms: [ppo]
environments: {CartPole-v1: {n_timesteps: 128}}
seeds: 0-1
evaluation: {n_evaluations: 1, n_eval_episodes: 1, n_final_episodes: 2}
statistics: {n_bootstrap: 50}
hyperparameters: {ppo: {default: {policy: MlpPolicy, n_steps: 64, batch_size: 64, n_epochs: 1}}}
"""

Harness = Callable[..., tuple[int, str, str]]


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Harness:
    """Return a function that calls the command line in an empty folder: exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    # The forkserver is started by the first call and must find the harness from another folder.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        output, errors = capfd.readouterr()
        return code, output, errors

    return run


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys, harness.cli\n"
        f"for arguments in ([], *([command] for command in {COMMANDS!r})):\n"
        "    sys.argv = ['harness', *arguments, '--help']\n"
        "    try: harness.cli.main()\n"
        "    except SystemExit as exit_: assert exit_.code == 0\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'scipy', 'gymnasium', 'stable_baselines3'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(harness: Harness, command: str) -> None:
    code, output, errors = harness(command, "--help")

    assert (code, errors) == (0, "")
    assert output.lstrip().startswith(f"Usage: harness {command} ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["comapre", "a.yml"], "No such command 'comapre'. Did you mean 'compare'?"),
        (["compare"], "Missing argument 'CONFIG'"),
        (
            ["compare", "a.yml", "--workers", "0"],
            "Invalid value for '--workers' / '-j': Input should be greater than or equal to 1",
        ),
        (["compare", "a.yml", "--workers", "two"], "'--workers' / '-j': Input should be a valid integer"),
        (["train", "--algo", "ppo"], "Missing option '--env'"),
        (
            ["train", "--algo", "ppo", "--env", "A-v0", "--seed", "-1"],
            "'--seed': Input should be greater than or equal to 0",
        ),
        (
            ["train", "--algo", "ppo", "--env", "A-v0", "--n-timesteps", "-5"],
            "'--n-timesteps': Input should be greater than or",
        ),
        (["crosscheck", "ppo", "--seeds", "x"], 'a list, got the text "x"'),
        (["crosscheck", "ppo", "--seeds", "0-"], 'a list, got the text "0-"'),
        (["crosscheck", "ppo", "--seeds", "5-2"], "the range 5-2 is empty, did you mean 2-5?"),
        (["crosscheck", "ppo", "--seeds", "0,1,0"], "the seed 0 is given twice"),
        (["crosscheck", "ppo", "--seeds", "0"], "or a list, got 0; the seed 0 alone is 0-0"),
        (["crosscheck", "ppo", "--seeds", "0-9999999999"], "expected at most 10,000 seeds, none above"),
        (["crosscheck", "ppo", "--seeds", "4294967296,"], "expected an integer in [0, 4294867295], got 4294967296"),
        (["crosscheck", "ppo", "--updates", "0"], "'--updates': Input should be greater than or equal to 1"),
        (["crosscheck"], "Missing argument 'SUBJECT'"),
        (["report", "a", "b"], "several folders need --out, the folder to write to"),
        (["evaluate"], "Missing argument 'RUN_DIR'"),
        (["evaluate", "a", "--episodes", "0"], "'--episodes': Input should be greater than or equal to 1"),
        (["evaluate", "a", "--seed", "9-1"], "--seed: the range 9-1 is empty, did you mean 1-9?"),
        (["evaluate", "a", "--seed", "2000001"], "--seed: expected seeds up to 2,000,000, got '2000001'"),
        (["watch", "a", "--seed", "-1"], "'--seed': Input should be greater than or equal to 0"),
        (["clean"], "Missing argument 'DIR'"),
        (["bench", "--pairs", "0"], "'--pairs': Input should be greater than or equal to 1"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_correction(harness: Harness, arguments: list[str], problem: str) -> None:
    code, output, errors = harness(*arguments)

    assert (code, output) == (2, "")
    assert problem in " ".join(errors.split())
    assert "Traceback" not in errors


def config(text: str = CONFIG) -> str:
    Path("a.yml").write_text(text)
    return "a.yml"


def replaced(old: str, new: str) -> str:
    assert old in CONFIG
    return CONFIG.replace(old, new)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (replaced("[ppo]", "[pp0]"), "a.yml:2:14: algorithms[0]: no algorithm is registered as pp0, did you mean ppo?"),
        (replaced("0-1", "[3, 3]"), "a.yml:4:12: seeds[1]: the seed 3 is given twice"),
        (
            replaced("0-1", "x"),
            'a.yml:4:1: seeds: expected a count >= 1, a range such as 0-9, or a list, got the text "x"',
        ),
        (
            replaced("n_timesteps: 128", "n_timesteps: -1"),
            "a.yml:3:30: environments.CartPole-v1.n_timesteps: expected an integer >= 1, got -1",
        ),
        (
            replaced("n_steps: 64", "n_step: 64"),
            "a.yml:7:54: hyperparameters.ppo.default.n_step: unknown key, did you mean n_steps?",
        ),
        (
            replaced("CartPole-v1", "CartPol-v1"),
            "a.yml:3:16: environments.CartPol-v1: environment 'CartPol-v1' is not registered with gymnasium, "
            "did you mean CartPole-v1?",
        ),
        (
            replaced("[ppo]", "[{mine: {class: 'harness.nowhere:Agent', hyperparameters_of: ppo}}]"),
            "a.yml:2:15: algorithms[0].mine: harness.nowhere:Agent: there is no module harness.nowhere; "
            "run from the folder that contains it, or install it",
        ),
        (
            replaced("[ppo]", "[{mine: {class: 'nowhere:Agent', hyperparameters_of: ppo}}]"),
            "a.yml:2:15: algorithms[0].mine: nowhere:Agent would import nowhere, which runs its code; "
            "to allow it, add --trust nowhere",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(harness: Harness, text: str, problem: str) -> None:
    code, _, errors = harness("compare", config(text))

    assert code == 1
    assert errors == f"error: {problem}\n"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere.yml", "error: nowhere.yml: does not exist\n"),
        (".", "error: .: is a folder, expected a YAML file\n"),
    ],
)
def test_a_configuration_that_is_not_a_file_is_one_line(harness: Harness, path: str, problem: str) -> None:
    assert harness("compare", path) == (1, "", problem)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--algo", "pppo", "--env", "CartPole-v1"],
            "--algo pppo: no algorithm is registered as pppo, did you mean ppo?",
        ),
        (
            ["--algo", "ppo", "--env", "CartPol-v1", "--n-timesteps", "9"],
            "--env: environment 'CartPol-v1' is not registered with gymnasium, did you mean CartPole-v1?",
        ),
    ],
)
def test_a_mistake_in_a_single_run_is_one_line(harness: Harness, arguments: list[str], problem: str) -> None:
    code, _, errors = harness("train", *arguments)

    assert (code, errors) == (1, f"error: {problem}\n")


def test_an_environment_whose_package_is_missing_is_one_line(harness: Harness) -> None:
    code, _, errors = harness(
        "train", "--algo", "ppo", "--env", "tests.harness.toy_subjects:MissingPackage-v0", "--n-timesteps", "9"
    )

    assert (code, errors) == (
        1,
        "error: --env: environment 'tests.harness.toy_subjects:MissingPackage-v0' needs a package that is not "
        "installed (No module named 'rotors'); the extras [envs] and [atari] of this project install the usual ones\n",
    )


def test_a_results_folder_that_is_a_file_is_one_line(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    assert harness("compare", config(), "--out", "taken") == (
        1,
        "",
        "error: taken: cannot be written (File exists)\n",
    )


def test_a_report_on_an_empty_folder_is_one_line(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert harness("report", "empty") == (
        1,
        "",
        "error: empty: holds no runs, expected run.json, *monitor.csv, evaluations.npz, progress.csv, "
        "event files of TensorBoard, or a CSV file of scores\n",
    )
    assert harness("report", "nowhere")[::2] == (
        1,
        "error: nowhere: is not a folder, expected results of `harness compare` or logs of SB3 or rl_zoo3\n",
    )


def test_a_damaged_record_is_one_line(harness: Harness, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "runs" / "ppo" / "CartPole-v1_1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"schema": 1, "sp')

    code, _, errors = harness("report", "results")

    assert code == 1
    assert errors.startswith("error: results/runs/ppo/CartPole-v1_1/run.json: cannot be read (Unterminated string")
    assert len(errors.splitlines()) == 1


def test_a_report_on_an_experiment_counts_the_runs_of_its_plan(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.analysis.report.draw_all", lambda *_, **__: [])
    for seed in (0, 7):
        write_run(tmp_path / "results", make_record(make_spec(seed=seed), [5.0]))
    (tmp_path / "results" / "experiment.yml").write_text(CONFIG)

    code, output, errors = harness("report", "results", "--out", "elsewhere")

    assert (code, errors) == (0, "")
    assert [line.split()[:3] for line in output.splitlines() if line.startswith(" ppo")] == [["ppo", "1/2", "5"]]
    assert (tmp_path / "elsewhere" / "tables" / "summary.csv").exists()


def test_a_report_on_runs_without_a_plan_counts_them_all(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.analysis.report.draw_all", lambda *_, **__: [])
    for seed in (0, 7):
        write_run(tmp_path / "results", make_record(make_spec(seed=seed), [5.0]))

    code, output, _ = harness("report", "results")

    assert code == 0
    assert [line.split()[:3] for line in output.splitlines() if line.startswith(" ppo")] == [["ppo", "2", "5"]]


def test_a_report_on_an_ablation_does_not_load_torch(tmp_path: Path) -> None:
    algorithms = "[custom_ppo, {deviations: {of: custom_ppo, only: [sgd]}}]"
    experiment = parse_config(replaced("[ppo]", algorithms), Path("a.yml"))
    (tmp_path / "experiment.yml").write_text(resolved_text(experiment))
    for spec in plan(experiment):
        write_run(tmp_path, make_record(spec, [5.0]))
    script = (
        "import sys, harness.analysis.report\n"
        "harness.analysis.report.draw_all = lambda *_, **__: []\n"
        "sys.argv = ['harness', 'report', sys.argv[1]]\n"
        "from harness.cli import main\n"
        "try: main()\n"
        "except SystemExit as exit_: assert exit_.code == 0\n"
        "print('torch' in sys.modules)\n"
    )

    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(" sgd")] == [["sgd", "2"]]
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("command", ["evaluate", "watch", "list", "clean"])
def test_a_folder_without_runs_is_one_line(harness: Harness, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()

    for folder, problem in (("empty", "holds no r"), ("nowhere", "is not a folder, expected results of `harness comp")):
        code, _, errors = harness(command, folder)

        assert code == 1
        assert errors.startswith(f"error: {folder}: {problem}")
        assert len(errors.splitlines()) == 1


def test_a_trained_run_is_listed_evaluated_and_filmed(harness: Harness, tmp_path: Path) -> None:
    folder, record, _ = trained_run(tmp_path / "mine")

    _, listed, _ = harness("list", "mine")
    code, output, errors = harness("evaluate", "mine", "--json", "a.json", "--csv", "a.csv", "--video", "a.gif")

    assert (code, errors) == (0, "")
    assert listed.split()[listed.split().index("mine") :][:3] == ["mine", "1", "1"]
    assert output.startswith("1 of 1 runs evaluated: final model, 3 deterministic episodes each\nCartPole-v1")
    assert output.splitlines()[-1].startswith("film a.gif (")
    assert json.loads(Path("a.json").read_text())["runs"][0]["rewards"] == list(record.final_rewards)
    assert len(Path("a.csv").read_text().splitlines()) == 2
    assert harness("watch", str(folder), "--out", "b.gif")[0] == 0
    assert Path("b.gif").read_bytes()[:6] == b"GIF89a"


def test_a_mistake_that_all_evaluations_share_is_one_line(harness: Harness, tmp_path: Path) -> None:
    trained_run(tmp_path / "mine")

    code, output, errors = harness("evaluate", "mine", "--env", "CartPol-v1")

    assert (code, output) == (1, "")
    assert errors == "error: environment 'CartPol-v1' is not registered with gymnasium, did you mean CartPole-v1?\n"


def test_clean_removes_files_only_on_demand(harness: Harness, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "mine", make_record(make_spec()))
    (folder / "failed-1.json").write_text("{}")

    assert harness("clean", "mine")[1].endswith("dry run, nothing was removed; add --yes to remove 2 B\n")
    assert (folder / "failed-1.json").exists()
    assert harness("clean", "mine", "--yes")[1].endswith("removed 2 B\n")
    assert sorted(path.name for path in folder.iterdir()) == ["run.json"]


def test_check_config_lists_every_mistake_and_the_valid_files(harness: Harness) -> None:
    Path("b.yml").write_text(replaced("[ppo]", "[pp0]").replace("0-1", "x"))

    code, output, errors = harness("check-config", config())
    assert (code, errors) == (0, "")
    assert output.startswith("a.yml: OK (2 runs)\n  algorithms    ppo\n  environments  CartPole-v1 (128 steps)\n")
    assert re.search(r"  cost +2 runs, 256 steps, about \d+ seconds on .* \(training was measured at [\d,]+ st", output)
    code, output, errors = harness("check-config", config(), "b.yml", "--no-check")

    assert (code, errors) == (1, "")
    assert [line.split(" ")[0] for line in output.splitlines() if not line.startswith(" ")] == [
        "a.yml:",
        "b.yml:2:14:",
        "b.yml:4:1:",
    ]


MISTAKEN = """name: trial
algorithms: [ppo, dqn, "tests.harness.toy_subjects:RaisesInConstructor"]
environments:
  CartPol-v1: {n_timesteps: 128}
  Pendulum-v1: {n_timesteps: 128, env_kwargs: {gravity: 3}}
  CartPole-v1: {n_timesteps: 128}
  "tests.harness.odd_environments:Exits-v0": {n_timesteps: 128}
seeds: 0-1
evaluation: {n_evaluations: 1}
"""


def test_check_config_and_compare_refuse_the_same_before_a_folder_is_made(harness: Harness) -> None:
    code, output, _ = harness("check-config", config(MISTAKEN), "--trust", "tests")
    compared = harness("compare", config(MISTAKEN), "--trust", "tests")

    assert code == 1
    *lines, fault = output.splitlines()
    assert compared == (1, "", "".join(f"error: {line}\n" for line in lines))
    assert fault.endswith("Exits-v0 ends the process (SystemExit: 3) when it is tried out")
    assert not Path("results").exists()
    places = [line.split(" ")[0] for line in output.splitlines()]
    assert places == ["a.yml:2:24:", "a.yml:4:3:", "a.yml:5:35:", "a.yml:7:3:"]


def test_a_package_is_imported_only_if_the_command_line_says_so(harness: Harness) -> None:
    text = MISTAKEN + "trusted_packages: [tests]\n"

    code, output, _ = harness("compare", config(text))

    assert (code, output) == (1, "")


def test_the_version_is_printed(harness: Harness) -> None:
    code, output, errors = harness("--version")

    assert (code, errors) == (0, "")
    assert re.fullmatch(r"harness \d+\.\d+\.\d+\n", output)


@pytest.mark.parametrize(
    ("subject", "options", "code", "last"),
    [
        (
            "custom_ppo",
            ["--seeds", "0-1"],
            0,
            r"identical: every bit of \d,\d{3} arrays and 36 optimiser steps in 2 runs \(",
        ),
        ("custom_a2c", ["--reference", "a2c"], 0, r"identical: every bit of "),
        ("tests.harness.toy_subjects:NoValueLoss", [], 1, r"different in 1 of 1 run \("),
        ("tests.harness.toy_subjects:Rounding", [], 1, r"equal up to rounding in 1 run, 0 of them identical \("),
        ("tests.harness.toy_subjects:Rounding", ["--allow-rounding"], 0, "equal up to rounding in 1 run, 0 of them"),
        ("tests.harness.toy_subjects:NoValueLoss", ["--allow-rounding"], 1, r"different in 1 of 1 run \("),
    ],
)
def test_the_exit_code_of_a_crosscheck_is_its_result(
    harness: Harness, subject: str, options: list[str], code: int, last: str
) -> None:
    rest = ["--env", "CartPole15", "--workers", "1", "--seeds", "1"]  # for an option given twice, the last value counts

    answer, output, errors = harness("crosscheck", subject, *rest, "--updates", "2", *options)

    assert (answer, errors) == (code, "")
    assert re.match(last, output.splitlines()[-1])


def test_a_crosscheck_writes_its_findings(harness: Harness) -> None:
    rest = ["--env", "CartPole15", "--updates", "1", "--seeds", "1", "--json", "found.json", "--figure", "map.png"]

    code, _, errors = harness("crosscheck", "custom_ppo", *rest)

    assert (code, errors) == (0, "")
    assert json.loads(Path("found.json").read_text())["verdict"] == "identical"
    assert sorted(path.name for path in Path().glob("map*")) == ["map.png", "map.svg"]


def test_a_crosscheck_of_an_unknown_algorithm_is_one_line(harness: Harness) -> None:
    code, output, errors = harness("crosscheck", "custom_pp0")

    assert (code, output) == (1, "")
    assert errors.startswith("error: algorithm 'custom_pp0' is not known, did you mean custom_ppo? (registered: ")
    assert len(errors.splitlines()) == 1


def test_failed_runs_exit_with_1_and_name_the_files_to_read(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.main_job.compare", lambda *_, **__: 2)

    assert harness("compare", config(), "--out", "here[1]") == (
        1,
        "2 runs failed: see the column `error` of here[1]/tables/runs.csv, "
        "and the traceback in the run.json of each run\n",
        "",
    )


@pytest.mark.parametrize("arguments", [["compare", "a.yml"], ["train", "--algo", "ppo", "--env", "CartPole-v1"]])
def test_an_interruption_exits_with_130_and_a_way_to_continue(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.main_job.compare", interrupt)
    config()

    assert harness(*arguments, "--out", "here") == (
        130,
        "interrupted: finished runs are kept in here; run the same command again to continue, "
        "or `harness report here` for tables and figures of what is finished\n",
        "",
    )


def test_an_interrupted_crosscheck_exits_with_130_in_one_line(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.crosscheck.command.run_crosscheck", interrupt)

    assert harness("crosscheck", "ppo") == (130, "interrupted: there is no result, and nothing was written\n", "")


def family(pid: int) -> list[int]:
    """Return the ids of a running process and all that descend from it."""
    found = [pid] if is_running(pid) else []
    for parent in found:
        found += [child for child in children_of(parent) if child not in found]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["while torch is loaded", "while it trains"])
def test_two_signals_stop_all_processes_without_traceback(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(replaced("128}", "5_000_000}"))
    command = [sys.executable, "-m", "harness", "compare", str(tmp_path / "a.yml"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        trains = moment == "while it trains"
        if trains:
            wait_until(lambda: len(list((tmp_path / "out").rglob("*.monitor.csv"))) == len(os.sched_getaffinity(0)))
        else:
            wait_until(lambda: any(is_loading_torch(pid) for pid in family(process.pid)))
        workers = family(process.pid)
        os.killpg(process.pid, number)  # as a terminal does: to every process of the group
        try:
            lines = [process.stdout.readline() for _ in range(2 if trains else 0)]
            if trains:  # SB3's PPO makes no checkpoints, so that it trains on
                assert len(family(process.pid)) >= len(workers)
                os.killpg(process.pid, number)
            began = time.monotonic()
            output, _ = process.communicate(timeout=60)
        finally:
            for pid in family(process.pid):  # otherwise the tests would wait forever
                os.kill(pid, signal.SIGKILL)

    assert time.monotonic() - began < 10
    n_workers = len(os.sched_getaffinity(0))
    stopping = (
        f"stopping: {n_workers} running runs will pause at a checkpoint or go on to the end; "
        "once more (Ctrl-C) stops at once"
    )
    out = tmp_path / "out"
    kept = (
        f"interrupted: finished runs are kept in {out}; run the same command again to continue, "
        f"or `harness report {out}` for tables and figures of what is finished"
    )
    expected = [f"2 runs in {tmp_path / 'out'}: 2 to run on {n_workers} workers", stopping, kept]
    # torch is loaded first by the processes that try environments and algorithms out.
    assert ("".join(lines) + output).splitlines() == (expected if trains else ["interrupted: nothing was run yet"])
    assert process.returncode == 128 + number
    assert list(tmp_path.rglob("run.json")) == []
    assert wait_until(lambda: not any(map(is_running, workers)))


def test_one_signal_pauses_a_run_at_a_checkpoint_and_it_continues(tmp_path: Path) -> None:
    text = replaced("[ppo]", "[custom_ppo]").replace("128}", "40_000}").replace("0-1", "[0]")
    (tmp_path / "a.yml").write_text(text)
    command = [sys.executable, "-m", "harness", "compare", str(tmp_path / "a.yml"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        wait_until(lambda: any(path.stat().st_size > 500 for path in (tmp_path / "out").rglob("*.monitor.csv")))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM
    assert "paused   custom_ppo CartPole-v1 seed 0: it continues from its checkpoint\n" in output
    assert [path.name for path in tmp_path.rglob("checkpoint.bin")] == ["checkpoint.bin"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    record = read_record(next((tmp_path / "out").rglob("run.json")).parent)
    assert record is not None
    (resumed_at,) = record.resumed_at
    assert 0 < resumed_at < 40_000
    assert list(tmp_path.rglob("checkpoint.bin")) == []


def test_events_are_written_as_json_and_all_else_to_the_other_stream(harness: Harness) -> None:
    config()

    code, output, errors = harness("compare", "a.yml", "--json-progress", "--workers", "1")

    assert code == 0
    events = [json.loads(line) for line in output.splitlines()]
    kinds = [event["event"] for event in events if event["event"] != "progress"]
    assert kinds == ["begin", "started", "finished", "started", "finished", "end"]
    assert [event["run"] for event in events if event["event"] == "finished"] == [
        "ppo/CartPole-v1_1",
        "ppo/CartPole-v1_2",
    ]
    assert errors.startswith("2 runs in results/tiny: 2 to run on 1 worker\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--executor", "moon"], "--executor: expected local or ray, got 'moon'"),
        (["--executor", "ray"], "--executor ray needs --storage: a folder that all machines share, or a URL"),
        (["--storage", "/shared"], "--storage is for --executor ray; the executor is local"),
        (["--address", "head:6379"], "--address is for --executor ray; the executor is local"),
        (["--time-limit", "soon"], "--time-limit: expected seconds or text such as 1h30m, got 'soon'"),
        (
            ["--memory-limit", "4 apples"],
            "--memory-limit: expected bytes or text such as 4G, got '4 apples'",
        ),
        (["--stall-limit", "-3"], "--stall-limit: expected seconds or text such as 1h30m, got '-3'"),
    ],
)
def test_limits_that_cannot_be_read_are_wrong_usage(harness: Harness, arguments: list[str], problem: str) -> None:
    config()

    code, _, errors = harness("compare", "a.yml", *arguments)

    assert code == 2
    assert problem in " ".join(errors.replace("│", " ").split())


def test_a_closed_pipe_is_not_an_error_message(tmp_path: Path) -> None:
    write_experiment(tmp_path, algos=("ppo",), envs=("Constant-v0",), n_seeds=2, n_timesteps=2_000)
    (tmp_path / "experiment.yml").unlink()
    script = (
        "import sys, harness.analysis.report\n"
        "harness.analysis.report.draw_all = lambda *_, **__: []\n"
        "sys.argv = ['harness', 'report', sys.argv[1]]\n"
        "from harness.cli import main\n"
        "main()\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-u", "-c", script, str(tmp_path)], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (1, "")


def test_python_m_harness_runs_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "harness", "--help"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
