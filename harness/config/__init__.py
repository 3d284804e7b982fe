"""Zoo-style YAML -> a validated `ExperimentConfig`, without importing torch or running any code of the file.

names         the only list of algorithms
documents     YAML as plain data with the line of every value
literals      Python literals in text, without eval
rules         what a single value may be
hyperparams   what zoo-style values mean: schedules, keyword arguments, wrappers
entries       which hyperparameters an algorithm takes
sources       where its hyperparameters come from
sections      the other sections of an experiment
merging       file entry, kwargs and overrides put together
loader        a file -> an experiment, or everything that is wrong with it
resolved      an experiment -> a file that needs no other
"""

from __future__ import annotations

from harness.config.experiment import (
    AlgorithmConfig,
    EnvironmentConfig,
    EvaluationConfig,
    ExperimentConfig,
    ReferenceScores,
    StatisticsConfig,
)
from harness.config.loader import check_config, load_config, parse_config
from harness.config.resolved import resolved_text

__all__ = [
    "AlgorithmConfig",
    "EnvironmentConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "ReferenceScores",
    "StatisticsConfig",
    "check_config",
    "load_config",
    "parse_config",
    "resolved_text",
]
