"""A run that another preset has made: taken where settings and parents are the same, to the byte as if made anew."""

import shutil
from pathlib import Path

import pytest
from tiny import ANN, CONVERTED, TEACHER, change, described, done, sealed
from tiny import LASNN as STUDENT

from lasnn.__main__ import main
from lasnn.pipeline import reference
from lasnn.pipeline.freshness import Judge
from lasnn.pipeline.trace import trace
from lasnn.plan.config import read, whole
from lasnn.plan.runs import parse
from lasnn.results import store
from lasnn.storage import files

FIRST, SECOND, KEPT = Path("results/tiny"), Path("results/second"), Path("results/reference")
MADE = ("model.pt", "metrics.json", "predictions.npz")


@pytest.fixture
def project(project, monkeypatch):
    """Its configuration has a second preset of the same settings."""
    monkeypatch.setenv(store.ALLOWED, "[]")  # as in a job of a workflow that was told to make nothing again
    change({"presets": {"second": whole()["presets"]["tiny"]}})
    return project


def elsewhere(run=TEACHER):
    return next((one.folder for one in store.finished(read().preset("second"), parse(run))), None)


def digests(folder):
    return {name: files.sha256(folder / name) for name in MADE}


def test_it_is_to_the_byte_what_a_training_gives(project, monkeypatch):
    """In place of what a killed training left: its scratch folder and its resume state."""
    (SECOND / TEACHER / ".left.part").mkdir(parents=True)
    (SECOND / TEACHER / "resume.pt").write_bytes(b"")
    assert main(["ann", str(SECOND / TEACHER)]) == 0
    taken = digests(SECOND / TEACHER)
    assert files.read_json(SECOND / TEACHER / "provenance.json")["trained_in"] == "tiny"
    assert not {".left.part", "resume.pt"} & {path.name for path in (SECOND / TEACHER).iterdir()}
    for forced in (["*"], ["ann"], None):  # told to make it again, or typed by hand, a verb trains
        shutil.rmtree(SECOND / TEACHER)
        store.allow(forced) if forced else monkeypatch.delenv(store.ALLOWED)
        assert main(["ann", str(SECOND / TEACHER)]) == 0
        assert "trained_in" not in files.read_json(SECOND / TEACHER / "provenance.json")
        assert digests(SECOND / TEACHER) == taken != digests(FIRST / TEACHER)


def test_the_workflow_takes_it_and_what_follows_rests_on_it(project):
    said = done(project, "--cores", 1, "--config", "preset=second", "--", SECOND / CONVERTED / "metrics.json").stderr
    assert f"taken from {FIRST / ANN}, which is what the plan asks for" in said
    assert f"taken from {FIRST / CONVERTED}, which is what the plan asks for" in said
    assert Judge(read().preset("second")).run(parse(CONVERTED)) is None
    first, second = (files.read_json(root / CONVERTED / "metrics.json") for root in (FIRST, SECOND))
    assert first["curves"] == second["curves"]
    found = trace(read(), str(SECOND / CONVERTED), [], verify=True)
    assert found.faults == []
    assert sum("trained in the preset tiny" in line for line in found.lines) == 2  # itself and its ANN


@pytest.mark.parametrize(
    "what",
    [
        lambda: (FIRST / TEACHER / "model.pt").write_bytes(b"damaged"),
        lambda: (FIRST / TEACHER / "predictions.npz").unlink(),
        lambda: sealed(FIRST / TEACHER / "metrics.json", revision=1),
        lambda: change({"presets": {"second": {"teacher": {"lr": 0.03}}}}),
    ],
)
def test_it_is_trained_where_there_is_no_such_training(project, what):
    assert elsewhere() == FIRST / TEACHER
    what()
    assert elsewhere() is None


def test_a_run_is_not_taken_where_a_parent_is_another_one(project, monkeypatch):
    """Weights decide where a parent says the same: seen before anything is taken."""
    for run in (ANN, TEACHER, CONVERTED):
        assert main([run.split("/")[0], str(SECOND / run)]) == 0
    shutil.copy(SECOND / ANN / "model.pt", SECOND / TEACHER / "model.pt")
    assert elsewhere(STUDENT) == FIRST / STUDENT
    assert store.take(read().preset("second"), parse(STUDENT)) is None
    assert not (SECOND / STUDENT).exists()
    change({"presets": {"second": {"teacher": {"lr": 0.03}}}})
    assert elsewhere(STUDENT) is None  # its teacher would be trained
    monkeypatch.delenv(store.ALLOWED)
    assert main(["ann", str(SECOND / TEACHER)]) == 0
    assert elsewhere(STUDENT) is None  # its teacher was


def test_it_is_kept_once_and_taken_up_by_both(project):
    done(project, "--cores", 1, "--config", "preset=second", "--", SECOND / CONVERTED / "metrics.json")
    before = digests(SECOND / CONVERTED)
    reference.export(read(), "tiny")
    said = reference.export(read(), "second")
    assert "1 kept under another preset already" in said
    assert reference._elsewhere(read().preset("second"), parse(CONVERTED)) is None  # of ANNs alone
    assert {path.name for path in (KEPT / "second" / ANN).iterdir()} == {"metrics.json", "provenance.json"}
    assert files.read_json(KEPT / "second" / "left_out.json")["elsewhere"] == [ANN]
    shutil.rmtree(FIRST)
    shutil.rmtree(SECOND)
    said = reference.take_up(read(), "second")
    assert said.startswith("3 runs imported")  # the teacher too, of which no use was made
    assert digests(SECOND / CONVERTED) == before
    assert Judge(read().preset("second"), checkpoints=True).run(parse(CONVERTED)) is None
    shutil.rmtree(SECOND)
    (KEPT / "tiny" / ANN / "predictions.npz").unlink()
    assert f"such as {ANN}: kept under another preset, where" in reference.take_up(read(), "second")


def test_the_same_weights_trained_apart_are_kept_with_their_own_times(project):
    """What is read off a training's log, as minutes of an epoch, would be the other's."""
    assert main(["ann", str(SECOND / ANN)]) == 0
    log = SECOND / ANN / "log.jsonl"
    files.write_text(log, log.read_text().replace('"seconds": ', '"seconds": 1'))
    reference.export(read(), "tiny")
    assert "kept under another preset" not in reference.export(read(), "second")
    assert reference.kept_at(read().preset("second"), parse(ANN)) == KEPT / "second" / ANN
    assert (KEPT / "second" / ANN / "log.jsonl").read_bytes() == log.read_bytes()


def test_another_training_of_the_same_settings_is_kept_beside_it(project):
    """On another machine a sum may come out otherwise: what was started from these bytes needs them."""
    assert main(["ann", str(SECOND / ANN)]) == 0
    reference.export(read(), "tiny")
    path = KEPT / "tiny" / ANN
    store.put(read().preset("tiny"), FIRST / TEACHER, path)  # weights of something else
    files.write_bytes(path / "metrics.json", (FIRST / ANN / "metrics.json").read_bytes())
    described(path)
    assert "kept under another preset" not in reference.export(read(), "second")
    assert (KEPT / "second" / ANN / "model.pt").exists()
