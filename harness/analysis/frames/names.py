"""Guess algorithm, environment and seed of a run from the names of its folders, for layouts in common use.

logs/ppo/CartPole-v1_3                    rl_zoo3
runs/CartPole-v1__ppo__3__1700000000      CleanRL
PPO_3                                     TensorBoard logs of SB3
ppo_CartPole_seed3, a2c-CartPole-v1       one name for all
CartPole-v1/ppo/3, ppo/CartPole-v1/seed_3 one folder for each
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Guess", "env_id_in", "guess_names"]

KNOWN_ALGORITHMS = (
    *("ppo", "a2c", "a3c", "trpo", "ddpg", "td3", "sac", "tqc", "dqn", "c51", "iqn", "rainbow", "ars", "her", "es"),
    *("crossq", "reinforce", "vpg", "ppg", "rpo", "impala", "bc", "awr", "droq", "redq"),
)
"""Names by which an algorithm is recognised."""

_ENDINGS = ("ppo", "a2c", "sac", "dqn", "td3", "trpo", "ddpg")  # of "maskableppo"

KNOWN_ENVIRONMENTS = (
    *("CartPole", "Acrobot", "MountainCarContinuous", "MountainCar", "Pendulum", "LunarLanderContinuous"),
    *("LunarLander", "BipedalWalkerHardcore", "BipedalWalker", "CarRacing", "Ant", "HalfCheetah", "Hopper", "Walker2d"),
    *("HumanoidStandup", "Humanoid", "Swimmer", "Reacher", "Pusher", "InvertedDoublePendulum", "InvertedPendulum"),
    *("Breakout", "Pong", "SpaceInvaders", "Qbert", "Seaquest", "BeamRider"),
)
"""Names of Gymnasium's environments without their version."""

_VARIANTS = ("lstm", "cnn", "mlp", "gsde")  # "ppo_lstm-CarRacing-v0" is no environment lstm-CarRacing-v0

_ENV_ID = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*-v\d+(?![A-Za-z0-9])")
_SEED = re.compile(r"(?<![A-Za-z])(?:seed|sd|run|rep|trial|s)[_=.-]?(\d{1,10})(?![A-Za-z0-9])", re.IGNORECASE)
_NUMBER = re.compile(r"(?:^|[_-]|(?<!\d)\.)(\d{1,10})$")
_NOISE = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UUID
    r"|(?<!\d)(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d(?:[-_.T]?\d\d[-_.:]?\d\d(?:[-_.:]?\d\d)?)?(?!\d)"  # date and time
    r"|(?<!\d)1\d{9}(?!\d)"  # seconds since 1970
)
_SEPARATORS = "_-. =+"

# Characters that take the place of what was recognised in a name.
_ENV_MARK, _SEED_MARK, _NOISE_MARK = "\ue000", "\ue001", "\ue002"
_QUOTE = "\ue003"  # around the word "seed", which belongs to the number behind it
_MARKS = {_ENV_MARK: "{env}", _SEED_MARK: "{seed}", _NOISE_MARK: "*", _QUOTE: ""}


@dataclass(frozen=True)
class Guess:
    """Names of a run; None where the path does not say."""

    algo: str | None
    env: str | None
    seed: int | None
    rest: tuple[str, ...] = ()
    """Parts of the path that are neither environment nor seed."""

    layout: str = ""
    """Pattern that the path follows, in the language of `pattern.path_pattern`."""


def guess_names(names: Sequence[str], env: str | None, known_envs: Collection[str] = ()) -> Guess:
    """Return the guess for a run.

    names: folders on the way to the run, and the stem of its Monitor file if that has a name.
    env: id in the header of its Monitor file. known_envs: ids in the headers of the runs beside it.
    """
    if names and (cleanrl := re.fullmatch(r"(.+?)__(.+)__(\d+)__\d+", names[-1])):
        found = _known(cleanrl[1], known_envs) if env is None else env
        return Guess(cleanrl[2], found, int(cleanrl[3]), (cleanrl[2],), "{env}__{algo}__{seed}__*")
    marked = [_NOISE.sub(_NOISE_MARK, name) for name in names]
    env, marked = _take_env(marked, env, known_envs)
    seed, marked = _take_seed(marked)
    left = [_unmarked(name) for name in marked]
    named = [name for name in left if name]
    algorithms = [name for name in named if _is_algorithm(name)]
    algo = algorithms[-1] if algorithms else named[-1] if named else None
    others = [name for name in named if name not in algorithms]
    if env is None and algorithms and others and len(names) > 1:
        env = others[-1]
        named.remove(env)
        marked[left.index(env)] = _ENV_MARK
    return Guess(algo, env, seed, tuple(named), _layout(marked, algo))


def env_id_in(names: Sequence[str]) -> str | None:
    """Return the id with a version, such as CartPole-v1, in the last of the names that holds one, or None."""
    for name in reversed(names):
        if found := _ENV_ID.search(name):
            words = found[0].split("-")
            first = next((i for i, word in enumerate(words) if not _is_algorithm(word) and word not in _VARIANTS), 0)
            return "-".join(words[first:])
    return None


def _layout(marked: Sequence[str], algo: str | None) -> str:
    """Return the pattern of a path, from its first name that holds a field."""
    shown = []
    place = max((i for i, name in enumerate(marked) if algo and _unmarked(name) == algo), default=None)
    for index, name in enumerate(marked):
        # Of "ppo_CartPole_clip" the algorithm is "ppo_clip", which no single field can stand for.
        text = name.replace(algo, "{algo}", 1) if index == place and algo and algo in name else name
        shown.append("".join(_MARKS.get(character, character) for character in text))
    while shown and "{" not in shown[0]:
        del shown[0]
    return "/".join(name if "{" in name else "*" for name in shown)


def _unmarked(name: str) -> str:
    """Return what is left of a name without the parts that were recognised: "ppo_clip" of "ppo_<env>_clip"."""
    unquoted = re.sub(f"{_QUOTE}[^{_QUOTE}]*{_QUOTE}", "", name)
    parts = (part.strip(_SEPARATORS) for part in re.split(f"[{''.join(_MARKS)}]", unquoted))
    return "_".join(part for part in parts if part)


def _known(name: str, known_envs: Collection[str]) -> str:
    """Return the known id that a folder writes without its slash, as "ALE-Pong-v5" is "ALE/Pong-v5"; else the name."""
    return next((env for env in known_envs if env.replace("/", "-") == name), name)


def _take_env(names: Sequence[str], env: str | None, known_envs: Collection[str]) -> tuple[str | None, list[str]]:
    """Return the environment, and the names without it."""
    wanted = [env] if env is not None else sorted(known_envs, key=len, reverse=True)
    for one in wanted:
        stem = re.escape(re.sub(r"-v\d+$", "", one))
        # The last form: of a header "Pendulum-v0" in a folder that somebody has renamed to "Pendulum-v1".
        for form in (re.escape(one), stem, rf"{stem}-v\d+"):
            pattern = re.compile(rf"(?<![A-Za-z0-9]){form.replace('/', '[-_/]')}(?![A-Za-z0-9]|-v\d)", re.I)
            for place in reversed(range(len(names))):
                if pattern.search(names[place]):
                    return one, _mark(names, place, pattern)
    if env is not None:
        return env, list(names)
    for place in reversed(range(len(names))):
        if (found := env_id_in(names[place : place + 1])) is not None:
            return found, _mark(names, place, re.compile(re.escape(found)))
    for place in reversed(range(len(names))):
        for known in KNOWN_ENVIRONMENTS:
            pattern = re.compile(rf"(?<![A-Za-z0-9]){known}(?![A-Za-z0-9])")
            if pattern.search(names[place]):
                return known, _mark(names, place, pattern)
    return None, list(names)


def _take_seed(names: Sequence[str]) -> tuple[int | None, list[str]]:
    """Return the seed, and the names without it: a number after the word "seed", else one at the end of a name."""
    for pattern in (_SEED, _NUMBER):
        for place in reversed(range(len(names))):
            found = list(pattern.finditer(names[place].rstrip(_SEPARATORS + _NOISE_MARK)))
            if found:
                word, (start, end), name = found[-1].start(), found[-1].span(1), names[place]
                marked = [*names]
                marked[place] = f"{name[:word]}{_QUOTE}{name[word:start]}{_QUOTE}{_SEED_MARK}{name[end:]}"
                return int(found[-1][1]), marked
    return None, list(names)


def _is_algorithm(text: str) -> bool:
    words = re.split(r"[^A-Za-z0-9]+", text.lower())
    forms = {*words, *(word.rstrip("0123456789") for word in words)}
    return any(form in KNOWN_ALGORITHMS or form.endswith(_ENDINGS) for form in forms if form)


def _mark(names: Sequence[str], place: int, pattern: re.Pattern[str]) -> list[str]:
    return [pattern.sub(_ENV_MARK, name, count=1) if index == place else name for index, name in enumerate(names)]
