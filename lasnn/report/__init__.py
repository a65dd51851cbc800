"""Tables and figures from finished runs, and the definitions of what they show: spikes, energy, claims.

It reads metrics and training logs and never runs anything. No torch: the workflow's graph is built from it, since the
exhibits are the plan: a preset runs what its exhibits ask for, and nothing else. Nor pandas, before a table is made:
every job of the workflow comes here to see what its run is for.
"""

from lasnn.plan.cells import PAPER
from lasnn.report.catalogue import EXHIBITS, TARGETS, exhibits_of, files_of, names_of, runs_of_target, write
from lasnn.report.exhibit import Exhibit, Figure, Table

__all__ = [
    "EXHIBITS",
    "PAPER",
    "TARGETS",
    "Exhibit",
    "Figure",
    "Table",
    "exhibits_of",
    "files_of",
    "names_of",
    "runs_of_target",
    "write",
]
