from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordError
from harness.evaluation.episodes import evaluate_run
from harness.evaluation.settings import EvaluationSettings
from harness.evaluation.trust import check_trust, imported_packages
from harness.experiment.run_records import write_record
from tests.harness.evaluation.stored import trained_run
from tests.harness.toy_subjects import tiny_spec


@pytest.mark.parametrize(
    ("changes", "packages"),
    [
        ({}, []),
        ({"algo_class": "evil.agents:Agent"}, ["evil"]),
        ({"env": "evil.envs:Drone-v0"}, ["evil"]),
        ({"hyperparams": {"env_wrapper": "evil.Wrapper"}}, ["evil"]),
        ({"hyperparams": {"env_wrapper": ["gymnasium.wrappers.A", {"evil.B": {"c": 1}}]}}, ["gymnasium", "evil"]),
        ({"hyperparams": {"vec_env_wrapper": "evil.Wrapper"}}, ["evil"]),
        ({"hyperparams": {"policy": "evil.policies.Policy"}}, ["evil"]),
        ({"algo_class": "evil:A", "env": "evil:B-v0", "hyperparams": {"policy": "worse.C"}}, ["evil", "worse"]),
    ],
)
def test_everything_that_a_record_would_import_is_found(changes: dict[str, Any], packages: list[str]) -> None:
    spec = dataclasses.replace(tiny_spec(), **changes)

    assert imported_packages(spec) == packages


def test_packages_of_this_project_and_of_sb3_need_no_trust() -> None:
    for algo in ("custom_ppo.sb3:CustomPPO", "stable_baselines3:PPO", "harness.catalogue.deviant:DeviantPPO", "ppo"):
        check_trust(dataclasses.replace(tiny_spec(), algo_class=algo), "here", ())


@pytest.mark.parametrize(
    "changes",
    [
        {"algo_class": "evil:Agent"},
        {"env": "evil:Drone-v0"},
        {"hyperparams": {"env_wrapper": "evil.Wrapper"}},
        {"hyperparams": {"policy": "evil.Policy"}},
    ],
    ids=["algorithm", "environment", "wrapper", "policy"],
)
def test_code_beside_a_record_is_not_imported(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record, spec = trained_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('trace').write_text('executed')\n")
    write_record(folder, dataclasses.replace(record, spec=dataclasses.replace(spec, **changes)))

    with pytest.raises(RecordError, match=r"names code of the package evil, which would be run; .* add --trust evil$"):
        evaluate_run(folder, EvaluationSettings())

    assert not (tmp_path / "trace").exists()
