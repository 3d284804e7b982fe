from hypothesis import settings

# A deadline is wall-clock time: on a busy machine it fails correct tests.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
