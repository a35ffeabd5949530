"""Many participants in one process: the integer mechanism alone, no chain, no training."""
