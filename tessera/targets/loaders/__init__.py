"""One module a source: each reads an official file as published and returns a table of figures.

A loader refuses a file that is not what it knows (`SourceError` naming file, row or column) and never guesses a value.
"""
