"""When things run: the monthly schedule, the sensor on new source files, and the automation of the matrix."""
