"""Notebooks executed by papermill, and their HTML, which loads nothing from the network."""

import base64
import contextlib
import hashlib
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.plan.config import Preset, read
from lasnn.plan.vocabulary import known
from lasnn.report.dataframes import base_runs
from lasnn.storage import files
from lasnn.storage.digests import Digests

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = ("spike_counts", "energy")
KERNEL = "lasnn"
SEAL = re.compile(r'<meta name="lasnn-made-from" content="(\w+) (\w+)">')


def inputs(preset: Preset) -> list[str]:
    """The files that a notebook is made from: the base runs of spiking networks."""
    return [f"{preset.folder(run)}/metrics.json" for run in base_runs(preset)]


def pages_of(preset: Preset) -> dict[str, str]:
    """The page of each notebook, by its name."""
    return {name: f"{preset.root}/notebooks/{name}.html" for name in NOTEBOOKS}


def execute(path: str) -> Path:
    """Execute the notebook that `path` (results/<preset>/notebooks/<name>.html) is made from; write that HTML.

    The executed notebook lies beside it as .ipynb, also if a cell failed; InputError with the cell's one line then.
    """
    target = Path(path)
    if target.suffix != ".html" or target.parent.name != "notebooks":
        raise InputError(f"{path!r} is not a notebook's page: expected results/<preset>/notebooks/<name>.html")
    name = known(NOTEBOOKS, target.stem, "notebook")
    preset = read().preset(target.parent.parent.name)
    executed = target.with_suffix(".ipynb")
    run(FOLDER / f"{name}.ipynb", target.parent.parent.as_posix(), executed)
    shown = page(executed, name)
    seal = f'<meta name="lasnn-made-from" content="{made_from(preset, name, Digests(None))} {_digest(shown)}">'
    files.write_text(target, shown.replace("<head>", f"<head>{seal}", 1))
    return target


def run(notebook: Path, root: str, executed: Path, **parameters: object) -> None:
    """Execute a notebook on the results below `root`, with these `parameters` too, and leave it at `executed`."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.WARNING)
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel says a line about debuggers
    executed.parent.mkdir(parents=True, exist_ok=True)
    how = {"kernel_name": KERNEL, "cwd": ".", "progress_bar": False}
    how["extra_arguments"] = ["--IPKernelApp.log_level=40"]  # errors only
    try:
        with own_kernel():
            papermill.execute_notebook(notebook, executed, parameters={"root": root, **parameters}, **how)
    except PapermillExecutionError as error:
        if error.ename == InputError.__name__:
            raise InputError(f"notebook {notebook.stem}: {error.evalue}") from None
        raise


def on_kept(name: str, kept: Path, executed: Path, earlier: Path, console: Console) -> Path:
    """Execute a notebook on results kept in git; `earlier`, if it was made from just these, is taken in its place."""
    paths = [FOLDER / f"{name}.ipynb", *sorted(kept.glob("*/**/metrics.json"))]
    seal = _digest(json.dumps([files.sha256(path) for path in paths]))
    executed.parent.mkdir(parents=True, exist_ok=True)
    if earlier.exists() and json.loads(earlier.read_text(encoding="utf-8"))["metadata"].get("lasnn_made_from") == seal:
        files.write_bytes(executed, earlier.read_bytes())
        return executed
    console.say(f"executing the notebook {name} on the results kept in {kept}")
    run(FOLDER / f"{name}.ipynb", kept.as_posix(), executed)
    content = json.loads(executed.read_text(encoding="utf-8"))
    content["metadata"]["lasnn_made_from"] = seal
    files.write_text(executed, json.dumps(content))
    return executed


def markdown(executed: Path) -> str:
    """An executed notebook as a page: its text, and what its cells gave; no code."""
    parts = []
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append("".join(cell["source"]))
        for output in cell.get("outputs", ()):
            parts.append(_output(output.get("data", {})))
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(data: dict[str, list[str] | str]) -> str:
    """What a page shows of an output: HTML, a picture or text, in this order."""
    found = {kind: "".join(content) for kind, content in data.items()}
    if "text/html" in found:
        return f'```{{raw}} html\n<div class="output">{found["text/html"]}</div>\n```'
    if "image/svg+xml" in found:
        picture = base64.b64encode(found["image/svg+xml"].encode()).decode()
        image = f'<img alt="" src="data:image/svg+xml;base64,{picture}">'
        return f'```{{raw}} html\n<div class="drawing">{image}</div>\n```'
    return found.get("text/markdown", "")


@contextlib.contextmanager
def own_kernel() -> Iterator[None]:
    """A kernel KERNEL of the interpreter that runs this, whatever kernels are installed, and no need of a home."""
    with tempfile.TemporaryDirectory(prefix="lasnn-jupyter-") as scratch:
        spec: dict[str, object] = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
        spec |= {"display_name": "Python of this run", "language": "python"}
        files.write_json(Path(scratch, "data", "kernels", KERNEL, "kernel.json"), spec)
        places = {"JUPYTER_PATH": Path(scratch, "data"), "JUPYTER_DATA_DIR": Path(scratch, "data")}
        places |= {"JUPYTER_RUNTIME_DIR": Path(scratch, "runtime"), "JUPYTER_CONFIG_DIR": Path(scratch, "config")}
        places |= {"IPYTHONDIR": Path(scratch, "ipython"), "MATPLOTLIBRC": Path(os.devnull)}
        own = {name: str(place) for name, place in places.items()}
        own["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # which a kernel takes by itself
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def made_from(preset: Preset, name: str, digests: Digests) -> str:
    """One digest of the notebook and of all that it reads."""
    read_from = {name: FOLDER / f"{name}.ipynb"} | {path: Path(path) for path in inputs(preset)}
    there = {said: digests.sha256(path) if path.exists() else None for said, path in read_from.items()}
    return _digest(json.dumps(there))


def sealed(page: str) -> str | None:
    """What a page says that it was made from, if it is as it was written."""
    text = Path(page).read_text(encoding="utf-8", errors="replace")  # a damaged one is not as it was written
    found = SEAL.search(text)
    return found[1] if found and _digest(text.replace(found[0], "", 1)) == found[2] else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def page(executed: Path, name: str) -> str:
    """The notebook as one HTML file: text and outputs, no code, no script from elsewhere."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(exclude_input=True, embed_images=True, mathjax_url="", require_js_url="")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    titles = {"metadata": {"name": name.replace("_", " ")}}
    return exporter.from_filename(str(executed), resources=titles)[0].replace('<script src=""></script>', "")
