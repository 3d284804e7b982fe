"""Simulations that measure how often the judgements of the report err; they take minutes, see `python -m`."""
