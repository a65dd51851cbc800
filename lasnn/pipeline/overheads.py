"""What a target costs beside its trainings, in seconds of work: each kind measured by a small one of its kind.

CPU time of a process counts and not its wall time, so that a busy machine plans as an idle one would.
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lasnn.pipeline.notebooks import pages_of
from lasnn.plan.config import Preset
from lasnn.report import EXHIBITS, Figure, exhibits_of, files_of

# CPU seconds of Snakemake for each job and of DVC for each record, read off whole calls (docs/commands.md).
JOB, RECORD = 0.4, 0.2


def start_up_seconds() -> float:
    """Seconds that a training's process takes before and after its own work."""
    return _work(_training)


def exhibit_seconds(preset: Preset, target: str) -> dict[str, float]:
    """Seconds of each exhibit that is not there."""
    kinds = {name: type(EXHIBITS[name]) for name in exhibits_of(target)}
    lacking = {name for name in kinds if any(not Path(path).exists() for path in files_of(preset, name))}
    table, figure = (_work(small) if lacking else 0.0 for small in (_table, _figure))
    return {name: figure if issubclass(kinds[name], Figure) else table for name in kinds if name in lacking}


def notebook_seconds(preset: Preset, target: str) -> dict[str, float]:
    """Seconds of each notebook whose page the target asks for and that is not there."""
    asked = pages_of(preset) if target == "all" else {}
    lacking = [name for name, page in asked.items() if not Path(page).exists()]
    return dict.fromkeys(lacking, _work(_notebook) if lacking else 0.0)


def workflow_seconds(jobs: int) -> tuple[float, float, float]:
    """Seconds of Snakemake before its first job and for each, and of DVC after the last."""
    return (_work(_workflow), JOB, RECORD * jobs) if jobs else (0.0, 0.0, 0.0)


def _work(small: Callable[[], None]) -> float:
    """CPU seconds of a process that does this as a job would, and of those that it waits for."""
    code = f"import lasnn.__main__; from lasnn.pipeline.overheads import {small.__name__} as small; small()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the sample {small.__name__} failed:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _training() -> None:
    import lasnn.results.store
    import lasnn.training.stages  # noqa: F401
    from lasnn.compiled import library

    library()


def _workflow() -> None:
    import snakemake.api
    import snakemake.cli
    import snakemake.dag  # noqa: F401

    import lasnn.pipeline.workflow  # noqa: F401


def _table() -> None:
    import pandas as pd

    from lasnn.report import pages

    frame = pd.DataFrame({"a": ["b"]})
    pages.document("", pages.table(frame.to_markdown()))
    frame.to_latex()


def _figure() -> None:
    import io

    from matplotlib import pyplot

    from lasnn.report import style

    style.theme()
    drawing = pyplot.subplots(1, 3)[0]
    drawing.savefig(io.BytesIO(), format="svg")
    drawing.savefig(io.BytesIO(), format="png", dpi=200)


def _notebook() -> None:
    import tempfile

    from lasnn.pipeline import notebooks
    from lasnn.storage import files

    draws = "from matplotlib import pyplot\nfrom lasnn.report import style\nstyle.theme()\npyplot.subplots(1, 3)"
    blank: dict[str, object] = {"cell_type": "code", "execution_count": None, "outputs": []}
    first = blank | {"source": "root = ''", "metadata": {"tags": ["parameters"]}}
    kernel = {"name": notebooks.KERNEL, "display_name": "", "language": "python"}
    small = {"cells": [first, blank | {"source": draws, "metadata": {}}], "metadata": {"kernelspec": kernel}}
    with tempfile.TemporaryDirectory() as folder:
        files.write_json(Path(folder, "small.ipynb"), small | {"nbformat": 4, "nbformat_minor": 4})
        notebooks.run(Path(folder, "small.ipynb"), "", Path(folder, "executed.ipynb"))
        notebooks.page(Path(folder, "executed.ipynb"), "small")
