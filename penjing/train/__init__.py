"""One training loop for every task: batches, optimizers, exact resume, measurement of this machine."""
