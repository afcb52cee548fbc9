"""Metrics (what a target measures) and the factored calibration matrix that links clones to targets."""
