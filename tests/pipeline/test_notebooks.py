"""Notebooks: clean in git, their page from a finished preset, one line where runs are missing."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from lasnn.errors import InputError
from lasnn.pipeline import notebooks

SOURCES = sorted(Path("notebooks").glob("*.ipynb"))
TUTORIAL = "tutorial"  # for people alone, executed by tests/training/test_loaded.py: no page is made of it


def test_every_notebook_is_planned_holds_no_outputs_and_says_where_it_reads():
    assert {path.stem for path in SOURCES} == {*notebooks.NOTEBOOKS, TUTORIAL}
    for path in SOURCES:
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3", path
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(not cell.outputs and cell.execution_count is None for cell in code), path
        (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
        assert re.match(r'root = "results/quick"', parameters.source), path
        assert path.stem == TUTORIAL or "torch" not in "".join(cell.source for cell in code), path


def test_a_page_is_made_from_metrics_and_loads_nothing(project):
    page = notebooks.execute("results/tiny/notebooks/spike_counts.html").read_text()
    assert "runs of preset tiny on Digits" in page
    assert page.count('data-mime-type="image/svg+xml"') == 3
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert not re.findall(r"@import|url\(['\"]?http", page)
    assert "import matplotlib" not in page  # the code is in the notebook, not in the page


def test_a_page_is_made_where_no_layer_was_counted_before_its_training(tmp_path):
    """As in a preset with thresholds that ANNs learn."""
    notebooks.run(Path("notebooks/spike_counts.ipynb"), "results/reference/few_steps", tmp_path / "made.ipynb")
    assert "0 % of 0 trained layers fire more" in (tmp_path / "made.ipynb").read_text()


def test_a_page_is_made_of_one_method_alone_and_missing_runs_are_one_line(project):
    for folder in Path("results/tiny/snn").glob("*/*/*"):
        if folder.name != "hybrid":
            shutil.rmtree(folder)
    assert "image/svg+xml" in notebooks.execute("results/tiny/notebooks/spike_counts.html").read_text()
    shutil.rmtree("results/tiny/snn")
    with pytest.raises(InputError, match=r"^notebook energy: no finished spiking run below results/tiny: `snakemake"):
        notebooks.execute("results/tiny/notebooks/energy.html")
    assert Path("results/tiny/notebooks/energy.ipynb").exists()  # shows the cell
    with pytest.raises(InputError, match="unknown notebook 'spikes'"):
        notebooks.execute("results/tiny/notebooks/spikes.html")
