"""Table III: LaSNN beside spike-based distillation."""

from lasnn.report.cells import paper_cells
from lasnn.report.exhibits.table1 import arrange
from lasnn.report.kinds import Table

EXHIBIT = Table("Table III: LaSNN and spike-based distillation", lambda preset: list(paper_cells("Table III")), arrange)
