"""Tracing: record what a training run computes, from outside, without changing or recomputing any of it."""
