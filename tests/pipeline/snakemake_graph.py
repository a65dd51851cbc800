"""`snakemake_graph.py PRESET`: Snakemake's own graph of the target `all`, {output: [inputs of its job]}, as JSON."""

import contextlib
import io
import json
import sys
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

with SnakemakeApi(OutputSettings()) as api:
    settings = ResourceSettings(cores=1), ConfigSettings(config={"preset": sys.argv[1]})
    plan = api.workflow(*settings, snakefile=Path("workflow/Snakefile"))
    with contextlib.redirect_stdout(io.StringIO()):
        plan.dag(DAGSettings(targets={"all"})).printd3dag()  # any question about the graph builds it
    jobs = list(plan._workflow.dag.jobs)
print(json.dumps({str(out): sorted(map(str, job.input)) for job in jobs for out in job.output}))
