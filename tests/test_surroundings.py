"""Where clusters and CI put it: closed streams, odd folders, another's checkout, foreign kernels, full disks."""

import argparse
import errno
import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from tiny import copy_project, snakemake

import lasnn.__main__ as door
from lasnn.errors import InputError
from lasnn.pipeline import notebooks, workflow
from lasnn.pipeline.workflow import check_whole_workflow, configuration
from lasnn.storage import user


def shell(words, folder=".", **environment):
    """A call as a shell makes it: redirections included."""
    line = f"{sys.executable} -m lasnn {words}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )


def test_closed_streams_are_no_obstacle(tmp_path):
    """And no file gets the number of a closed one: what is printed would end up in it."""
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&-", ">&- 2>&- <&-"):
        result = shell(f"runs no_such_word {closed}")
        assert result.returncode == 0, result.stderr
        assert "Traceback" not in result.stderr
        assert ("no finished run" in result.stdout) == (">&-" not in closed.replace("2>&-", ""))
    log = tmp_path / "console.log"
    assert shell(f"data nothing --log {log} >&- 2>&-").returncode == 2
    (line,) = log.read_text().splitlines()
    assert line.startswith("error: unknown dataset 'nothing'")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("a b ü") / "check out")


def another_lasnn(folder):
    (folder / "lasnn").mkdir(parents=True)
    (folder / "lasnn" / "__init__.py").write_text("raise SystemExit('another lasnn')")
    return str(folder)


def test_the_working_folder_may_lie_elsewhere(tmp_path, monkeypatch):
    """Blanks, quotes, braces and non-ASCII letters in names, another lasnn there and on PYTHONPATH.

    Snakemake looks for wildcards in whatever goes before a job's command. Nothing is written into the checkout.
    """
    checkout, place = copy_project(tmp_path / "it's {x} ü"), tmp_path / "with blanks and ü"
    monkeypatch.setenv("PYTHONPATH", another_lasnn(tmp_path / "path"))
    another_lasnn(place)
    folders = "folders={results: 'my results', data: 'd ä/x'}"
    words = ("--snakefile", checkout / "workflow" / "Snakefile", "--directory", place, "--cores", 1)
    result = snakemake(tmp_path, *words, "d ä/x/digits.npz", "--config", folders)
    assert result.returncode == 0, result.stderr
    assert (place / "d ä" / "x" / "digits.npz").exists()
    assert not (checkout / ".snakemake").exists()


@pytest.mark.parametrize(
    "variables",
    [{}, {"PYTHONSAFEPATH": "1"}, {"PYTHONPATH": "another"}, {"PYTHONPATH": "another", "PYTHONSAFEPATH": "1"}],
)
@pytest.mark.parametrize("here", ["checkout", "beside another lasnn"])
def test_the_record_imports_what_the_jobs_import(tmp_path, monkeypatch, capfd, variables, here):
    """This checkout's lasnn, whatever lies in the working folder or on PYTHONPATH."""
    another = another_lasnn(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("another", another))
    monkeypatch.chdir(Path.cwd() if here == "checkout" else tmp_path)
    assert workflow.own_process("--version") == 0
    assert capfd.readouterr().out.startswith("lasnn ")


@pytest.mark.parametrize("words", [["workflow"], ["lasnn/plan", "-s", "../../workflow/Snakefile"]])
def test_a_folder_of_the_checkout_is_no_place_for_results(checkout, words):
    """Snakemake finds the workflow from there, and would make everything anew, into that folder."""
    folder = checkout / words[0]
    folder.mkdir(exist_ok=True)
    result = snakemake(folder, "-n", *words[1:], "tables")
    (line,) = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert line.startswith(f"error: results would lie in {words[0]}, a folder of the checkout: type this in ")
    assert result.returncode == 1
    assert not (folder / ".snakemake").exists()


def test_a_folder_that_is_meant_is_one(tmp_path, monkeypatch):
    """By --directory, as the checkout itself, elsewhere, by a config.yaml of its own; which then comes first."""
    checkout, below = tmp_path / "checkout", tmp_path / "checkout" / "below"
    below.mkdir(parents=True)
    for place, directory in ((below, below), (checkout, None), (tmp_path, None)):
        monkeypatch.chdir(place)
        monkeypatch.setattr(workflow, "command_line", partial(argparse.Namespace, directory=directory))
        workflow.check_folder(checkout)
        assert configuration(checkout) == (Path("config.yaml") if place == checkout else checkout / "config.yaml")
    monkeypatch.chdir(below)
    Path("config.yaml").write_text("preset: quick")
    workflow.check_folder(checkout)
    assert configuration(checkout) == Path("config.yaml")


@pytest.mark.parametrize(("variable", "name"), [("LOGNAME", "me"), ("USER", "me"), ("ANOTHER", "uid1234567")])
def test_a_number_without_a_name_gets_one(monkeypatch, variable, name):
    """A container under a bare number: DVC, papermill and Snakemake ask for a name. One that is set stays."""
    for known in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(known, "")
    monkeypatch.setenv(variable, "me")
    monkeypatch.setattr("os.getuid", lambda: 1234567)
    user.complete()
    assert getpass.getuser() == name


def test_files_are_utf8_whatever_the_locale(finished, tmp_path):
    """In a plain C locale Python reads ASCII, if it is told to; the notes of the tables have a ±."""
    place = tmp_path / "copy"
    shutil.copytree(finished, place, ignore=shutil.ignore_patterns(".git", ".dvc", ".snakemake"))
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": os.getcwd()}
    result = shell("site --preset tiny", place, **ascii_alone)
    assert result.returncode == 0, result.stderr
    assert "mean ± sd" in (place / "results" / "tiny" / "site" / "exhibits" / "table2.html").read_text(encoding="utf-8")


def test_a_container_is_described_where_there_is_conda(checkout):
    result = snakemake(checkout, "--containerize", "--cores", 1, doubles=True)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^FROM .*$", result.stdout, re.MULTILINE)
    assert "environment.yml" in result.stdout
    result = snakemake(checkout, "--containerize", "--cores", 1)
    assert result.returncode != 0
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert "have conda on PATH" in line
    assert "Traceback" not in result.stderr


def test_notebooks_run_in_the_interpreter_of_the_job(tmp_path, monkeypatch):
    """Whatever kernels and backends the surroundings name, and without a home."""
    import nbformat
    import papermill

    for name in ("python3", notebooks.KERNEL):
        kernel = tmp_path / "kernels" / name
        kernel.mkdir(parents=True)
        spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "another", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
    for foreign in ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "MPLBACKEND"):
        monkeypatch.setenv(foreign, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    code = "import sys\nfrom matplotlib import pyplot\nsys.executable"
    source = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    source.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(source, tmp_path / "source.ipynb")
    before = dict(os.environ)
    with notebooks.own_kernel():
        made = papermill.execute_notebook(
            tmp_path / "source.ipynb", tmp_path / "made.ipynb", kernel_name=notebooks.KERNEL, progress_bar=False
        )
    assert sys.executable in made.cells[-1].outputs[0].data["text/plain"]
    assert dict(os.environ) == before


@pytest.mark.parametrize("full", ["the working folder", "temporary files (TMPDIR)"])
def test_a_full_disk_is_named(full, monkeypatch, capsys):
    import tempfile

    place = os.curdir if full == "the working folder" else tempfile.gettempdir()
    usage = shutil.disk_usage(".")
    free = {place: 0}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free.get(path, 1 << 40)))

    def stopped(*of):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lasnn.pipeline.costs.print_plan", stopped)
    assert door.main(["plan"]) == 4
    said = capsys.readouterr().err
    assert f"No space left on device on the disk of {full}; what is finished is kept" in said


@pytest.mark.parametrize("path", ["~nobody-here/x", "~nobody-here", "~0/x"])
def test_a_home_that_is_not_known_is_one_line(path):
    with pytest.raises(InputError, match=rf"^{path}: the system knows no such home: write the whole path$"):
        user.expanded(path)


@pytest.mark.parametrize("snakefile", ["other/Snakefile", "workflow/other.smk", "../Snakefile"])
def test_an_import_as_a_module_is_one_line(tmp_path, snakefile):
    with pytest.raises(InputError, match=r"can't be imported by `module`.*--directory FOLDER") as error:
        check_whole_workflow(str(tmp_path / snakefile), tmp_path)
    assert "\n" not in str(error.value)
    check_whole_workflow(str(tmp_path / "workflow" / "Snakefile"), tmp_path)
