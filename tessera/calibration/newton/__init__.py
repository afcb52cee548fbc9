"""What the calibration mode is made of: passes, the linear system, conflicts, thinning. `..dual` drives it."""
