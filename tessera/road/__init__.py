"""The road from sources to the calibration package without the workflow engine: stages in order, each stored."""
