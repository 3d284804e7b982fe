"""Implementations of PPO that are not CustomPPO, with known bugs and without.

planted_bug       id and name of a bug
mutation          classes of SB3 with fragments of their source replaced
sb3_bugs/         such bugs, by the stage of training that they are in
mutants           all of these, as importable classes
standalone        a PPO in one file that shares no code with SB3, and trains to the same bits
standalone_bugs   the same with a fragment of its source replaced, as importable classes
equivalents       implementations that look different and are correct
cleanrl_style     a PPO with many habits of single-file implementations at once
training          training of a subject in an environment of the stress profile, for its weights
"""
