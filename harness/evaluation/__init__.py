"""Evaluate what training left on disk: agents are rebuilt from their records, and no file is unpickled.

trust          packages that a stored run would import, checked against an allow-list
weights        weights of a model file, read by torch's safe loader
agents         the agent of a run's folder, rebuilt from its record
foreign_agents the agent of a folder that another program wrote, for whom pickles must be trusted
episodes       one run evaluated, in a worker process
guarded        a call in a worker process whose error is a value
several_runs   many runs evaluated in parallel, and summarised over seeds
command        `harness evaluate`: tables on the terminal and in files
footage        frames of an episode of an agent, in a worker process
film           frames of several agents with captions, as GIF or MP4

Everything that loads torch runs in worker processes; `several_runs`, `command` and `film` do not load it.
"""
