"""One thread: these tests share the machine. The toys are those of the tasks' tests."""

import sys
from pathlib import Path

import torch

for folder in ("model", "tasks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
