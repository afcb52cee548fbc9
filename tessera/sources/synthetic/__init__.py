"""Writers of synthetic source files in the official formats and codes, for runs without the official files.

Nothing here is real data: distributions are drawn from published national statistics, and every file that a writer
leaves is marked (`tessera.sources.marks`). The readers of `tessera.sources` cannot tell the formats apart.
"""
