"""Tessera: representative household datasets for the nation, every state, every district and a set of cities.

The library. It knows nothing of runs, partitions or schedulers: those live beside it in `assets`, `jobs`, `resources`
and `sensors`. Nothing heavy is imported here.
"""

__version__ = "0.1.0"
