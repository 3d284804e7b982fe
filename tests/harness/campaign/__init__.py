"""Campaign of faults: experiments are hit at random moments until they are complete, and must equal an undisturbed one.

    python -m tests.harness.campaign 100 [--seed 0] [--kinds "full disk; stop worker"] [--round 7]

Each round runs an experiment of 12 short runs in a folder of its own, and hits it at up to six moments with one kind
of fault, drawn at random: the kinds are in `faults`. The experiment is then called until it is finished, and every file
of every run is compared bit for bit with that of an undisturbed experiment. Rounds follow until so many moments were
hit.

For a full disk, results lie on a tmpfs of 256 MiB, in a mount namespace that `unshare` makes and that ends with the
campaign; a file fills it but for a random rest. Where namespaces are not allowed, this kind is left out, which is said.

Ends with 1 if a run was lost (no finished record), wrong (other bits), or a call unclean (traceback, unexpected exit
code, or a process that outlived it).
"""
