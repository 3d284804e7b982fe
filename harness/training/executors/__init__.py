"""Executors of runs: `local` starts a process for each run on this machine, `ray_cluster` on those of a cluster."""
