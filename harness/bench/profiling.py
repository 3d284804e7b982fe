"""Profile of one training: the functions in which it spends its time."""

from __future__ import annotations

import cProfile
import io
import pstats

from harness.bench.configurations import Configuration
from harness.bench.measure import built, single_thread, specs_of

__all__ = ["profile_text"]

N_FUNCTIONS = 30


def profile_text(configuration: Configuration, engine: str) -> str:
    """Return the functions of our `learn()` with the most time of their own, as cProfile's table.

    cProfile adds about a microsecond to every call of a function, so that many short calls look slower than they are;
    compare shares with those of `harness bench`.
    """
    spec = specs_of(configuration).ours
    with single_thread():
        with built(spec, engine) as model:
            model.learn(1)  # checks and caches of a first update
        with built(spec, engine) as model:
            profiler = cProfile.Profile()
            profiler.enable()
            model.learn(configuration.n_timesteps)
            profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(N_FUNCTIONS)
    return text.getvalue().strip()
