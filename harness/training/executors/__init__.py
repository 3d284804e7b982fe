"""Executors of runs: `local` starts a process for each run on this machine."""
