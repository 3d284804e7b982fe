from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.bench import command, measure
from harness.bench.command import run_bench, run_profile, show_record
from harness.bench.configurations import CONFIGURATIONS, Configuration
from harness.bench.execution import measuring
from harness.bench.execution.results import RESULTS, ShellLoop
from harness.bench.peer_speeds import PeerSpeed
from harness.bench.records import BenchRecord, write_record
from harness.bench.speeds import Speed
from harness.errors import HarnessError, UnknownNameError
from tests.harness.bench.execution.timelines import made_results
from tests.harness.bench.speeds import measured

OPTIONS: dict[str, Any] = {
    "engine": "auto",
    "only": ["cartpole-zoo", "dict"],
    "pairs": 3,
    "scale": 1.0,
    "parts": False,
    "json_file": None,
    "baseline": None,
    "peers": None,
    "markdown": False,
}


def run(**options: Any) -> tuple[str, str]:
    """Return the verdict and what was printed."""
    console = Console(width=120)
    with console.capture() as capture:
        verdict = run_bench(console, **{**OPTIONS, **options})
    return verdict, capture.get()


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"python": "3.11", "torch": "2.13", "stable_baselines3": "2.9"}
    found = {"cpu": "a processor", "cores": 4, "load_average": 0.1, "cpu_capability": "AVX2", "compiler": ""}
    monkeypatch.setattr(command, "machine", lambda: {**found, "versions": versions})


@pytest.fixture(autouse=True)
def results(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the results by name, which a test may change; an exception is raised in place of a result."""
    found: dict[str, Any] = {"cartpole-zoo": measured("cartpole-zoo"), "dict": measured("dict", 8.0)}

    def measure_speed(configuration: Configuration, *_: Any) -> Iterator[Speed]:
        result = found[configuration.name]
        if isinstance(result, BaseException):
            raise result
        yield result

    monkeypatch.setattr(measure, "measure_speed", measure_speed)
    return found


def test_a_benchmark_names_the_machine_the_ratios_and_their_mean() -> None:
    verdict, text = run()

    assert verdict == "yes"
    assert "a processor, 4 cores, load average 0.10, one torch thread, AVX2" in text
    assert "Python 3.11, torch 2.13, SB3 2.9; compiler: none" in text
    assert "geometric mean over 2 configurations: 4.00x SB3" in text
    assert "busy" not in text


def test_a_busy_machine_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = {**command.machine(), "load_average": 1.6}
    monkeypatch.setattr(command, "machine", lambda: busy)

    assert "warning: the machine is busy (load average 1.60)" in run()[1]


def test_a_pipe_gets_no_colours() -> None:
    assert "\x1b" not in run()[1]


def test_markdown_describes_every_training() -> None:
    text = run(markdown=True)[1]

    assert "| cartpole-zoo | 8 environments, one minibatch of 256 | fused |" in text


def test_wrong_bits_are_the_answer_no(results: dict[str, Any]) -> None:
    results["dict"] = measured("dict", unequal="value_net.weight")

    verdict, text = run()

    assert verdict == "no"
    assert "dict: bits differ from SB3's after training: value_net.weight" in text
    assert "geometric mean over 1 configuration" in text


def test_what_cannot_be_measured_is_one_line_and_the_rest_goes_on(results: dict[str, Any]) -> None:
    results["cartpole-zoo"] = HarnessError("rl_zoo3 is\nnot installed")

    verdict, text = run()

    assert verdict == "yes"
    assert "cartpole-zoo: not measured: rl_zoo3 is not installed" in text
    assert "dict" in text


def test_ctrl_c_keeps_what_was_measured(results: dict[str, Any], tmp_path: Path) -> None:
    results["dict"] = KeyboardInterrupt()

    verdict, text = run(json_file=tmp_path / "speed.json")

    assert verdict == "interrupted"
    assert "interrupted: what was measured so far is below" in text
    assert "2.00x" in text
    data = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert data["interrupted"] is True
    assert data["configurations"][0]["ratio"] == 2.0


def measure_made_results(monkeypatch: pytest.MonkeyPatch, **made: Any) -> list[str]:
    """Let measurements of experiments have made results, or raise an exception; return the list of those measured."""
    results = {**made_results(), **made}
    measured_names: list[str] = []

    def measured_execution(name: str, *_: Any) -> Iterator[Any]:
        measured_names.append(name)
        if isinstance(results[name], BaseException):
            raise results[name]
        yield results[name]

    monkeypatch.setattr(measuring, "measured_execution", measured_execution)
    return measured_names


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["execution"], list(RESULTS)),
        (["many-runs", "dict", "run-overhead"], ["run-overhead", "many-runs"]),
        (["dict"], []),
    ],
)
def test_measurements_of_experiments_are_chosen_by_name(
    only: list[str], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_names = measure_made_results(monkeypatch)

    verdict, text = run(only=only)

    assert (verdict, measured_names) == ("yes", names)
    assert ("Execution of experiments" in text) == bool(names)
    assert ("dict" in text) == ("dict" in only)


def test_experiments_are_measured_without_being_asked(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    results |= {configuration.name: measured(configuration.name) for configuration in CONFIGURATIONS}
    measured_names = measure_made_results(monkeypatch)

    run(only=[])

    assert measured_names == list(RESULTS)


def test_results_of_experiments_are_written_and_shown_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measure_made_results(monkeypatch, **{"many-runs": HarnessError("no space\nleft")})
    path = tmp_path / "execution.json"
    text = run(only=["execution"], json_file=path, markdown=True)[1]
    console = Console(width=120)

    with console.capture() as capture:
        show_record(console, path, markdown=True)

    assert "| two-workers | time with one worker / with two, 5 runs, 1 pair | 2.00x |" in capture.get()
    assert "many-runs: not measured: no space left" in capture.get()
    assert capture.get() in text


def test_experiments_with_other_bits_than_rl_zoo3_are_the_answer_no(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = made_results()["zoo-loop"]
    assert isinstance(loop, ShellLoop)
    measure_made_results(monkeypatch, **{"zoo-loop": replace(loop, unequal=("ppo/CartPole-v1_1",))})

    verdict, text = run(only=["zoo-loop"])

    assert verdict == "no"
    assert "zoo-loop: bits differ from rl_zoo3's after training: ppo/CartPole-v1_1" in text


def test_a_ratio_that_fell_is_the_answer_no(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    write_record(path, BenchRecord({}, "auto", [measured("cartpole-zoo", 2.1), measured("dict", 20.0)]))

    verdict, text = run(baseline=path)

    assert verdict == "no"
    lines = text.splitlines()
    assert sum("fell by" in line for line in lines) == 1
    assert lines[-1].startswith("dict: 8.00 times as fast as SB3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "nativ"}, r"engine 'nativ' is not known, did you mean native\?"),
        ({"only": ["dcit"]}, r"configuration 'dcit' is not known, did you mean dict\?"),
        ({"json_file": Path("none/speed.json")}, "the folder none does not exist"),
        ({"baseline": Path("none.json")}, r"none\.json: cannot be read"),
        ({"peers": Path("none")}, "none: the folder of the other implementations does not exist"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_measured(
    results: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    results.clear()  # to measure would be a KeyError

    with pytest.raises(HarnessError, match=message):
        run(**options)


def test_an_earlier_benchmark_is_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    peer = PeerSpeed("cartpole-zoo", "SBX", "0.28", (1.5,))
    write_record(path, BenchRecord(command.machine(), "auto", [measured("dict", 8.0)], [peer]))
    console = Console(width=120)

    with console.capture() as capture:
        show_record(console, path, markdown=True)

    assert "a processor, 4 cores" in capture.get()
    assert "| dict | MultiInputPolicy" in capture.get()
    assert "| cartpole-zoo | SBX | 0.28 | 1.50x |" in capture.get()
    assert "geometric mean over 1 configuration: 8.00x SB3" in capture.get()


def test_an_unknown_name_of_a_profile_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean dict"):
        run_profile(Console(), "dcit", "auto")
