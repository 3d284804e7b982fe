"""Search for deviations that reproduce the subject, and count the runs that they reproduce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.catalogue import CATALOGUE
from harness.crosscheck.explaining.explanation import Explanation
from harness.crosscheck.explaining.scores import Score
from harness.crosscheck.explaining.search import explain_runs
from harness.crosscheck.explaining.trials import run_trial
from harness.crosscheck.profiles import Case
from harness.crosscheck.recording import Pairing, common_cases, record_for_search, torch_threads
from harness.training.algorithms import load_algorithm

__all__ = ["DEVIANTS", "explain_pairs"]

DEVIANTS: Mapping[str, str] = {
    "ppo": "harness.catalogue.deviant:DeviantPPO",
    "a2c": "harness.catalogue.deviant:DeviantA2C",
}
"""Reference -> algorithm that equals it to the bit, and takes `deviations=`; others cannot be explained."""


def explain_pairs(
    pairing: Pairing, pairs: Sequence[tuple[Case, int]], seconds: float
) -> tuple[Explanation, tuple[int, int]]:
    """Return the explanation of the lowest seed of every case, and (number of runs it reproduces, number of runs).

    The other seeds are not searched: they test the explanation on runs from which it was not derived.
    """
    with torch_threads(pairing.threads):
        common = [(case, seed) for case, _, seed in common_cases(pairing, pairs)]
        lowest = min(seed for _, seed in common)
        searched = [record_for_search(pairing, case, seed) for case, seed in common if seed == lowest]
        others = [(case, seed) for case, seed in common if seed != lowest]
        deviant = load_algorithm(DEVIANTS[pairing.reference])
        catalogue = {entry.id: entry for entry in CATALOGUE if pairing.reference in entry.algorithms}
        explanation = explain_runs(deviant, searched, list(catalogue.values()), seconds=seconds)
        scores = list(explanation.scores)
        # Deviations of one group give the same values in the runs searched: any of them stands for the group.
        hypothesis = tuple(catalogue[ids[0]] for ids in explanation.deviations)
        if hypothesis:
            # One run after the other is recorded and released: traces of image policies are large.
            for case, seed in others:
                scores.append(run_trial(deviant, hypothesis, record_for_search(pairing, case, seed)).score)
    return explanation, (sum(_reproduced(score, explanation) for score in scores), len(common))


def _reproduced(score: Score, explanation: Explanation) -> bool:
    """Return True if a run is reproduced as well as the verdict claims: exactly, or up to rounding."""
    return score.exact or (explanation.verdict != "explained exactly" and score.up_to_rounding)
