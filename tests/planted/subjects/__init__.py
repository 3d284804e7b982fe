"""PPOs that are not CustomPPO, with known bugs and without: what the cross-check is tested with.

mutation, plants, mutants   SB3's own PPO and A2C with a fragment of their source replaced
standalone                  a PPO in one file that shares nothing with SB3, and is bit-identical to it
standalone_bugs             the same with a fragment of its source replaced
cleanrl_style               a PPO with the habits of single-file implementations
equivalents                 implementations that look different and are right
catalogue                   which entry of the catalogue of deviations each planted bug is

Every one can be loaded by name, as a user's own class is: "tests.planted.subjects.mutants:adam_eps_1e-8";
"a+b" is both bugs at once.
"""
