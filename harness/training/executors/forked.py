"""Prepare the process from which workers are forked. It alone imports this module, which acts when it is imported.

The process leads a session of its own, so that signals of the terminal, or to the group of the harness, do not reach
it. It adopts the orphans of its workers. When it ends, which it does as soon as the harness has ended in any way, it
kills everything that descends from it.
"""

from __future__ import annotations

import atexit
import os
import warnings

from harness.training.executors.processes import adopt_orphans, end_family

os.setsid()
adopt_orphans()
atexit.register(end_family, None, os.getpid(), ())
# Its loop waits for every child, and adopted ones are none that it knows.
warnings.filterwarnings("ignore", message="forkserver: waitpid returned")
