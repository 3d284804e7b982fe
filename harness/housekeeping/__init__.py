"""Overview of results on disk, and removal of what is no longer needed.

sizes     bytes of files and folders, as numbers and as text
listing   `harness list`: experiments, the states of their runs, steps, time and sizes
cleaning  `harness clean`: files that can be removed, and their removal
"""
