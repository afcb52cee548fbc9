"""Readers of the survey and administrative files, and (in `synthetic`) writers of the same files in the same formats.

One module a file: `cps_asec`, `irs_puf`, `acs_pums`, `sipp`, `scf`, `cps_org`. A reader returns a table with the
official column names and codes and never interprets them: that is the work of `tessera.microdata`. `registry` knows
where each official file comes from and prepares the folder `raw/`.
"""
