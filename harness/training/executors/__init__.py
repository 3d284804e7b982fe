"""Where runs are executed: `local`, a process for each run on this machine."""
