"""One thread: these tests share the machine. Some of the toys are those of the networks' tests."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))
torch.set_num_threads(1)
