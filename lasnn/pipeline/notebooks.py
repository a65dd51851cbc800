"""Notebooks executed by papermill, and their HTML, which loads nothing from the network."""

import logging
import os
from pathlib import Path

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.lookup import known
from lasnn.plan.runs import BASE, SnnRun
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.storage import files

FOLDER = Path("notebooks")
NOTEBOOKS = ("spike_counts", "energy", "overview")


def inputs(preset: Preset, name: str) -> list[str]:
    """The files that a notebook is made from: the base runs of spiking networks, for the overview every exhibit."""
    if name == "overview":
        return [path for exhibit in EXHIBITS for path in files_of(preset, exhibit)]
    runs = [run for run in runs_of_target(preset, "all") if isinstance(run, SnnRun) and run.variant == BASE]
    return [f"{preset.folder(run)}/metrics.json" for run in runs]


def execute(path: str) -> Path:
    """Execute the notebook that `path` (results/<preset>/notebooks/<name>.html) is made from; write that HTML.

    The executed notebook lies beside it as .ipynb, also if a cell failed; InputError with the cell's one line then.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    target = Path(path)
    if target.suffix != ".html" or target.parent.name != "notebooks":
        raise InputError(f"{path!r} is not a notebook's page: expected results/<preset>/notebooks/<name>.html")
    name = known(NOTEBOOKS, target.stem, "notebook")
    logging.getLogger("papermill").setLevel(logging.WARNING)
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel says a line about debuggers
    executed = target.with_suffix(".ipynb")
    executed.parent.mkdir(parents=True, exist_ok=True)
    how = {"kernel_name": "python3", "cwd": ".", "progress_bar": False}
    how["extra_arguments"] = ["--IPKernelApp.log_level=40"]  # errors only
    try:
        source, root = FOLDER / f"{name}.ipynb", target.parent.parent.as_posix()
        papermill.execute_notebook(source, executed, parameters={"root": root}, **how)
    except PapermillExecutionError as error:
        if error.ename == InputError.__name__:
            raise InputError(f"notebook {name}: {error.evalue}") from None
        raise
    files.write_text(target, page(executed, name))
    return target


def page(executed: Path, name: str) -> str:
    """The notebook as one HTML file: text and outputs, no code, no script from elsewhere."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(exclude_input=True, embed_images=True, mathjax_url="", require_js_url="")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    titles = {"metadata": {"name": name.replace("_", " ")}}
    return exporter.from_filename(str(executed), resources=titles)[0].replace('<script src=""></script>', "")
