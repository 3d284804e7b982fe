"""Planted-bug benchmark: does the cross-check find a known bug, and does it give the bug its name?

The cross-check compares an implementation of PPO (the subject) with Stable-Baselines3's, reports their first
divergence, and explains it by entries of `harness.catalogue`. Here it is run on subjects whose bugs are known.

Two kinds of subjects have bugs, both loaded as a user's class is, by "module:name":

*   `tests.planted.subjects.mutants:NAME` is SB3's own PPO or A2C with a fragment of its source replaced. All its
    intermediate quantities can be recorded, so that the first divergence must be at the bug itself.
*   `tests.planted.subjects.standalone_bugs:NAME` is a PPO in one file that shares no code with SB3, changed in the same
    way. Only its networks and its optimiser are visible, so that a bug may be found at a later quantity.

NAME is the id that the catalogue gives the mistake, followed by "__" and a variant where the mistake is planted in
several ways: gradients_not_clipped, gradients_not_clipped__clipped_after_step. "a+b" has both bugs. Planted bugs and
the catalogue share ids and no code: each is the other's test.

A third kind, `tests.planted.subjects.equivalents:NAME`, is correct although it looks different, and must not be
reported as a mistake.

Run
    python -m tests.planted.benchmark       place and name of every planted bug (an hour or two; --sample 20: minutes)
    python -m tests.planted.false_alarms    verdicts on a correct implementation, over many seeds
    Both explain their options with --help. The last results are in results/published/crosscheck.md.

Plant a bug
    Add a `Mutant` to the file of its stage in subjects/sb3_bugs/, or a `Bug` to subjects/standalone_bugs.py: the id, a
    fragment of the source, its replacement, and the first quantity that must differ. The id is the catalogue's; if the
    catalogue lacks the mistake, choose one in its style and add listed=False. Then run
    pytest tests/planted/subjects: test_planted_bug.py checks the id, test_mutants.py or test_standalone.py that the
    fragment exists and that training differs from SB3's. No list of bugs has to be extended.

Modules
    selection        subjects, what is expected of each, and random combinations of bugs
    outcomes         judgement of the cross-check's answer, and totals
    benchmark        command that checks subjects
    false_alarms     command that checks correct implementations
    records          outcomes kept in a file of JSON lines
    page             published page, made from such a file
    known_misses     reasons for the misses that were investigated
    subjects/        the implementations themselves
"""
