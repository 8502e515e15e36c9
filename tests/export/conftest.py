"""One thread: these tests share the machine."""

import torch

torch.set_num_threads(1)
