"""The published recipe: gates, objective, compiled passes, steps, checkpoints. `tessera.calibration.fit` drives it."""
