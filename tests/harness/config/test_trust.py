from __future__ import annotations

from pathlib import Path

from harness.config import read_config
from harness.config.trust import untrusted_imports

TEXT = """
name: a
algorithms: [ppo, "evil.agents:Agent"]
environments: {"robots.envs:Arm-v0": {n_timesteps: 100}}
seeds: 1
trusted_packages: [evil, mine, os, robots]
hyperparameters:
  ppo:
    default:
      policy: mine.Net
      env_wrapper: [gymnasium.wrappers.TimeAwareObservation, mine.W]
      vec_env_wrapper: [{os.path.X: {}}]
      callback: [rl_zoo3.callbacks.RawStatisticsCallback, {subprocess.Popen: {args: id}}]
  "evil.agents:Agent": {default: {policy: MlpPolicy}}
"""


def untrusted(text: str, *trusted: str) -> list[str]:
    reading = read_config(Path("a.yml"), text)
    assert reading.problems == ()
    return [
        str(problem).replace("which runs its code; to allow it, ", "")
        for problem in untrusted_imports(reading, trusted)
    ]


def test_everything_that_would_be_imported_needs_the_users_word_and_not_the_files() -> None:
    assert untrusted(TEXT) == [
        "a.yml:3:19: algorithms[1]: evil.agents:Agent would import evil, add --trust evil",
        "a.yml:4:16: environments.robots.envs:Arm-v0: robots.envs:Arm-v0 would import robots, add --trust robots",
        "a.yml:11:7: hyperparameters.ppo.default.env_wrapper: mine.W would import mine, add --trust mine",
        "a.yml:12:7: hyperparameters.ppo.default.vec_env_wrapper: os.path.X would import os, add --trust os",
        "a.yml:13:7: hyperparameters.ppo.default.callback: subprocess.Popen would import subprocess, "
        "add --trust subprocess",
        "a.yml:10:7: hyperparameters.ppo.default.policy: mine.Net would import mine, add --trust mine",
    ]
    assert untrusted(TEXT, "evil", "mine", "os", "robots", "subprocess") == []


def test_a_package_whose_name_begins_like_a_trusted_one_is_not_trusted() -> None:
    text = TEXT.replace("evil.agents", "harness_evil")

    assert "harness_evil:Agent would import harness_evil" in untrusted(text, "mine", "os", "robots")[0]
