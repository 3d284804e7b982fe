"""Bugs in SB3's source, by the stage of training that they are in."""
