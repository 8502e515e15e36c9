"""Tests run two at a time: each gets one thread, before torch is loaded. None of them asks the hub."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

from hypothesis import settings

# The suite asks the same questions each time, so that green on one machine is green on all;
# `pytest --hypothesis-profile=explore` asks new ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile("fixed")
