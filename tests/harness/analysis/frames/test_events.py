from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from harness.analysis.frames import load_results
from harness.analysis.frames.events import read_events

event_pb2 = pytest.importorskip("tensorboard.compat.proto.event_pb2")
summary_pb2 = pytest.importorskip("tensorboard.compat.proto.summary_pb2")

Scalars = Sequence[tuple[str, int, float]]

CLEANRL: Scalars = [
    ("charts/episodic_return", 9, 9.0),
    ("charts/episodic_length", 9, 9.0),
    ("charts/episodic_return", 30, 21.0),
    ("charts/episodic_length", 30, 21.0),
    ("losses/approx_kl", 32, 0.01),
    ("losses/entropy", 32, 0.5),
]


def write_events(path: Path, scalars: Scalars) -> Path:
    """Write an event file with tensorboard's own writer."""
    writer = pytest.importorskip("tensorboard.summary.writer.event_file_writer").EventFileWriter(str(path.parent))
    for index, (tag, step, value) in enumerate(scalars):
        summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(event_pb2.Event(wall_time=1e9 + index, step=step, summary=summary))
    writer.close()
    (made,) = (found for found in path.parent.glob("events.*") if found.name != path.name and found.suffix != ".x")
    return made.rename(path)


def test_episodes_and_values_of_cleanrl_are_read(tmp_path: Path) -> None:
    path = write_events(tmp_path / "events.out.tfevents.1.x", CLEANRL)
    damage: list[str] = []

    episodes, progress = read_events([path], damage)

    assert episodes[["timestep", "reward", "length", "seconds"]].to_numpy().tolist() == [[9, 9, 9, 0], [30, 21, 21, 2]]
    rows = list(progress.itertuples(index=False, name=None))
    assert rows == [(32, "train/approx_kl", pytest.approx(0.01)), (32, "train/entropy_loss", -0.5)]
    assert damage == []


def test_every_scalar_equals_that_of_the_reader_of_tensorboard(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    scalars = [(f"x/{index % 3}", index, index / 7) for index in range(300)]
    path = write_events(tmp_path / "events.out.tfevents.1.x", scalars)

    _, progress = read_events([path], [])

    expected = [
        (event.step, value.tag, value.simple_value)
        for event in loader.LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]
    assert list(progress.itertuples(index=False, name=None)) == expected


def test_a_scalar_that_is_a_tensor_is_read_as_well(tmp_path: Path) -> None:
    tensor_pb2 = pytest.importorskip("tensorboard.compat.proto.tensor_pb2")
    values = [
        summary_pb2.Summary.Value(tag="a", tensor=tensor_pb2.TensorProto(dtype=1, float_val=[1.5])),
        summary_pb2.Summary.Value(
            tag="b", tensor=tensor_pb2.TensorProto(dtype=2, tensor_content=struct.pack("<d", 2.5))
        ),
        summary_pb2.Summary.Value(tag="text", tensor=tensor_pb2.TensorProto(dtype=7, string_val=[b"x"])),
    ]
    record = event_pb2.Event(step=3, summary=summary_pb2.Summary(value=values)).SerializeToString()
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(struct.pack("<QI", len(record), 0) + record + bytes(4))

    _, progress = read_events([path], [])

    assert list(progress.itertuples(index=False, name=None)) == [(3, "a", 1.5), (3, "b", 2.5)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:-5], "ends within a record, which is left out"),
        (lambda content: content + b"\x05\x00", "ends within a record, which is left out"),
        (lambda content: b"\xff" * len(content), "ends within a record, which is left out"),
        (
            lambda content: content + struct.pack("<QI", 4, 0) + b"\xff\xff\xff\xff" + bytes(4),
            "is damaged, what follows is left out",
        ),
    ],
)
def test_a_damaged_event_file_is_named(change: object, reason: str, tmp_path: Path) -> None:
    path = write_events(tmp_path / "events.out.tfevents.1.x", CLEANRL)
    assert callable(change)
    path.write_bytes(change(path.read_bytes()))
    damage: list[str] = []

    read_events([path], damage)

    assert [line.startswith(f"{path}: {reason}") for line in damage] == [True]


def test_event_files_of_two_runs_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    first = write_events(tmp_path / "events.out.tfevents.1.x", CLEANRL)
    second = write_events(tmp_path / "events.out.tfevents.2.x", CLEANRL)
    damage: list[str] = []

    episodes, progress = read_events([first, second], damage)

    assert (len(episodes), len(progress)) == (0, 0)
    assert damage == [f"{second}: overlaps in steps with the event file before it, as if two runs had logged here"]


def test_runs_of_cleanrl_are_named_and_scored(tmp_path: Path) -> None:
    runs: Mapping[str, float] = {"ppo__1": 1.0, "ppo__2": 2.0, "a2c__1": 3.0}
    for index, (name, factor) in enumerate(runs.items()):
        scaled = [(tag, step, factor * value) for tag, step, value in CLEANRL]
        folder = tmp_path / "runs" / f"CartPole-v1__{name}__17000000{index:02d}"
        folder.mkdir(parents=True)
        write_events(folder / "events.out.tfevents.1.x", scaled)

    rows = load_results(tmp_path).runs

    found = list(zip(rows["algo"], rows["env"], rows["seed"], rows["score"], rows["score_source"], strict=True))
    assert found == [
        ("a2c", "CartPole-v1", 1, 45.0, "last_episodes"),
        ("ppo", "CartPole-v1", 1, 15.0, "last_episodes"),
        ("ppo", "CartPole-v1", 2, 30.0, "last_episodes"),
    ]


def test_logs_of_sb3_in_tensorboard_are_scored_by_their_evaluations(tmp_path: Path) -> None:
    folder = tmp_path / "CartPole-v1" / "PPO_3"
    folder.mkdir(parents=True)
    write_events(
        folder / "events.out.tfevents.1.x",
        [("rollout/ep_rew_mean", 64, 20.0), ("eval/mean_reward", 64, 30.0), ("eval/mean_ep_length", 64, 30.0)],
    )

    results = load_results(tmp_path)

    (row,) = results.runs.to_dict("records")
    assert (row["algo"], row["env"], row["seed"], row["score"]) == ("PPO", "CartPole-v1", 3, 30.0)
    assert (row["score_source"], row["n_final_episodes"], row["steps"]) == ("last_evaluation", 0, 64)
    assert "their number of episodes is unknown" in results.audit["remarks"][0]
