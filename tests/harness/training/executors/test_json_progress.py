from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.training.executors.events import Finished, Job, Paused, Progressed, Retried, Started, Stopping
from harness.training.executors.json_progress import JsonProgress
from harness.training.progress import Progress
from tests.results_factory import failed, make_record, make_spec

JOB = Job(make_spec(), Path("nowhere"))
RUN = "ppo/CartPole-v1_1"


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(event.pop("time") > 0 for event in events)
    return events


def test_every_event_is_one_json_object() -> None:
    stream = io.StringIO()
    record = make_record(JOB.spec, [3.0])
    with JsonProgress([JOB], 2, stream) as progress:
        progress(Started(JOB))
        progress(Progressed(JOB, Progress(5, math.nan)))
        progress(Progressed(JOB, Progress(9, 1.5, "evaluating")))
        progress(Retried(JOB, failed(record, "bad\nluck")))
        progress(Stopping((JOB,)))
        progress(Paused(JOB))
        progress(Finished(JOB, failed(record)))
        progress(Finished(JOB, record))

    assert written(stream) == [
        {"event": "begin", "runs": 1, "workers": 2, "steps": 1000},
        {"event": "started", "run": RUN, "n_timesteps": 1000},
        {"event": "progress", "run": RUN, "steps": 5, "episode_return": None, "phase": "training"},
        {"event": "progress", "run": RUN, "steps": 9, "episode_return": 1.5, "phase": "evaluating"},
        {"event": "retried", "run": RUN, "error": {"type": "ValueError", "message": "bad\nluck"}},
        {"event": "stopping", "running": [RUN]},
        {"event": "paused", "run": RUN},
        {"event": "failed", "run": RUN, "error": {"type": "ValueError", "message": "NaN in the policy"}},
        {
            "event": "finished",
            "run": RUN,
            "score": 3.0,
            "steps": 1000,
            "wall_seconds": 12.0,
            "train_seconds": 10.0,
        },
        {"event": "end", "interrupted": False},
    ]


def test_the_last_event_tells_of_an_interruption() -> None:
    stream = io.StringIO()

    with pytest.raises(KeyboardInterrupt), JsonProgress([JOB], 1, stream):
        raise KeyboardInterrupt

    assert written(stream)[-1] == {"event": "end", "interrupted": True}
