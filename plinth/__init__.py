"""The core library of the platform, which knows no Dagster.

What belongs here: algorithms and the types they exchange (contracts, sources, ingestion, lakehouse, sample data), usable from any
Python process. What does not: assets, sensors, jobs (they are thin and live in their own rooms) and anything of one company
(contracts, dbt models and `platform.yaml` declare that). Importing this package imports no heavy library.
"""

import os

# Threads of OpenMP wait for each other by spinning, which on a busy machine takes the processor from the very thread that is waited for:
# training beside two other busy processes took 3 to 15 times as long. A library reads the variable once, when it is loaded, so it is
# set here, where no part of the platform comes before it; processes that are started from here inherit it. One's own value stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
