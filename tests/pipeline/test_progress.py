"""What a call of the workflow says of itself: which run, how long still, and Table II at its end."""

import json
import os
import time
from pathlib import Path

import pytest
import tiny

from lasnn.pipeline import last_words
from lasnn.results import progress
from lasnn.storage import files

ANN, STUDENT, LATER = (f"results/tiny/{run}" for run in (tiny.ANN, tiny.HYBRID, tiny.LASNN))
RESULT = "results/tiny/exhibits/table2.md"


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(progress.PASSED, "")
    progress.begin([ANN, STUDENT, LATER], ["data/digits.npz", "results/tiny/exhibits/table1.md", RESULT])


def finished(folder, seconds):
    files.write_json(Path(folder, "provenance.json"), {"seconds": seconds})


def since(seconds):
    """As if the call had begun so many seconds earlier."""
    call = json.loads(os.environ[progress.PASSED])
    os.environ[progress.PASSED] = json.dumps(call | {"began": time.time() - seconds})


def test_the_first_run_knows_no_time(call):
    assert progress.line() == f"run 1 of 3; the result will be {RESULT}"


def test_the_others_go_by_those_that_are_done(call):
    """An ANN took 2,000 s of 4,000: what is left, two runs that may take as long, needs 8,000."""
    since(4000)
    finished(ANN, 2000)
    assert progress.line() == f"run 2 of 3, about 2.2 h to go; the result will be {RESULT}"
    Path(STUDENT).mkdir(parents=True)
    Path(STUDENT, "provenance.json").write_text("{")  # a damaged file is no finished run
    assert progress.line().startswith("run 2 of 3")
    since(-60)  # files of before count for nothing
    assert progress.line().startswith("run 1 of 3;")


def test_a_kind_takes_what_its_kind_took():
    """30 s of runs in 60 s of the call, so all takes twice the runs' own: (20 + 15) * 2."""
    done = [("ann", 10.0), ("hybrid", 20.0)]
    assert progress.remaining(done, ["hybrid", "lasnn_act"], 60) == pytest.approx(70)
    assert progress.remaining([], ["hybrid"], 60) is None


def test_rows_of_which_nothing_was_run_are_left_out():
    table = ["# A", "", "| net | us: ours | paper |", "|:--|:--|:--|", "| a | 1.0 | 2 |", "| b | - | 2 |", "", "- note"]
    assert last_words.shortened(table) == [*table[:5], *table[6:]]


def test_a_finished_workflow_ends_with_table_2(finished):
    said = (finished / "said.txt").read_text()
    lines = said.splitlines()
    assert "run 1 of " in said
    assert "the result will be results/tiny/exhibits/table2.md" in said
    assert lines[-1] == "results/tiny/exhibits: table1, table2, table3, table4, table_s1, table_s3, claims"
    shown = lines[lines.index(next(one for one in lines if one.startswith("# Table II"))) :]
    assert sum(line.startswith("| Digits") for line in shown) == 1
    assert not any(line.startswith("| CIFAR-10 ") for line in shown)
