"""How good a run is: target errors, weights health, checks of the written files, figures and the HTML report.

Nothing heavy is imported here; figures load matplotlib and target tables load DuckDB only when they are made.
"""
