"""The fit: clone weights and L0 gates that bring estimates to their targets; presets, checkpoints and logs."""
