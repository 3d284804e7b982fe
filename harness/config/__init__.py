"""Read a zoo-style YAML file as a validated `ExperimentConfig`, without running any code that the file names.

experiment      the validated configuration, as frozen dataclasses
names           registered names of algorithms and the classes behind them
files           text of files that a user names
documents       YAML as plain data, with the line and column of every value
literals        Python literals in text, read without eval
rules           rules that a single value must satisfy
units           durations and sizes
labels          labels of algorithms and environments, which become names of folders
hyperparams     zoo-style values: schedules, keyword arguments, wrappers
entries         hyperparameters that an algorithm accepts
sources         places where hyperparameters are looked up: files, the installed zoo, the experiment itself
drafts          algorithms and environments whose hyperparameters have not been looked up yet
algorithm_list  the section `algorithms`
expansions      entries of that list that stand for several algorithms
seeds           seeds as a count, a range or a list
sections        the sections environments, logging, statistics and trusted_packages
statistics_file the section statistics as a file of its own, for logs without an experiment
reading         what could be read of a file: the experiment, or its mistakes and the valid parts
trust           packages that an experiment would import
merging         file entry, kwargs and overrides merged into one set of hyperparameters
loader          the whole file: an `ExperimentConfig`, or the list of its mistakes
schema          JSON schema of experiment files, for editors
resolved        an `ExperimentConfig` written as a file that depends on no other file

Reading a file imports torch only if the file contains an expansion over the catalogue.
"""

from __future__ import annotations

from harness.config.experiment import (
    AlgorithmConfig,
    EnvironmentConfig,
    EvaluationConfig,
    ExecutionConfig,
    ExperimentConfig,
    ReferenceScores,
    StatisticsConfig,
)
from harness.config.loader import check_config, load_config, parse_config, read_config
from harness.config.reading import Reading
from harness.config.resolved import resolved_text

__all__ = [
    "AlgorithmConfig",
    "EnvironmentConfig",
    "EvaluationConfig",
    "ExecutionConfig",
    "ExperimentConfig",
    "Reading",
    "ReferenceScores",
    "StatisticsConfig",
    "check_config",
    "load_config",
    "parse_config",
    "read_config",
    "resolved_text",
]
