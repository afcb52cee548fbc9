"""Which assets run together: partitions, stage jobs, and the two programs that `make run` and `make ui` start."""
