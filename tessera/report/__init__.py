"""The report of a run: what it shows, how it looks, and the collecting of what a run left behind."""
