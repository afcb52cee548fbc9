"""Partition definitions of the graph, all from the one catalogue of areas.

States are in FIPS order; districts in the order of their states, so that a state's districts form one range.
"""

import dagster as dg

from tessera.geography.areas import areas_of_kind

STATES = dg.StaticPartitionsDefinition([area.key for area in areas_of_kind("state")])
DISTRICTS = dg.StaticPartitionsDefinition([area.key for area in areas_of_kind("district")])
CITIES = dg.StaticPartitionsDefinition([area.key for area in areas_of_kind("city")])
