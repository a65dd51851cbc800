"""Results kept in git: what is kept, and that another machine takes up what fits and nothing else."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny import ANN, CONVERTED, LASNN, TEACHER, change, done, flip, rules
from tiny import HYBRID as STUDENT

from lasnn.__main__ import main
from lasnn.errors import InputError
from lasnn.pipeline import reference
from lasnn.pipeline.trace import trace
from lasnn.plan.config import read
from lasnn.plan.runs import parse
from lasnn.results import store
from lasnn.storage import files

UNTRAINED = "ann/digits/vgg16bn/random_teacher/s0"
KEPT, THERE = Path("results/reference/tiny"), Path("results/tiny")


@pytest.fixture
def kept(project):
    """It holds kept results and prepared images, but no results of its own."""
    reference.export(read())
    shutil.rmtree(THERE)
    shutil.rmtree(".snakemake")
    return project


@pytest.fixture
def imported(kept):
    """The same after they were taken up."""
    said = reference.take_up(read())
    assert re.fullmatch(r"\d+ runs imported from results/reference/tiny, 0 were there already", said)
    return kept


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_is_kept(kept):
    """A checkpoint only where another run starts from it and it doesn't follow from what else is kept."""
    described = {"metrics.json", "predictions.npz", "provenance.json", "log.jsonl"}
    assert names(KEPT / TEACHER) == described | {"model.pt"}
    assert names(KEPT / STUDENT) == described
    assert names(KEPT / CONVERTED) == described - {"log.jsonl"}
    assert {"table1.csv", "table2.md", "claims.json"} <= names(KEPT / "exhibits")


def test_what_follows_without_a_training_is_composed_to_the_byte(imported, finished):
    """An ANN's weights with thresholds that metrics.json spells; weights that are draws of a seed."""
    assert (THERE / CONVERTED / "model.pt").read_bytes() == (finished / THERE / CONVERTED / "model.pt").read_bytes()
    assert {path.parent for path in KEPT.rglob("model.pt")} == {KEPT / TEACHER, KEPT / ANN}
    change({"presets": {"tiny": {"scope": {"ablations": ["lasnn_act+random_teacher"]}}}})
    assert main(["ann", str(THERE / UNTRAINED)]) == 0
    made = (THERE / UNTRAINED / "model.pt").read_bytes()
    preset, run = read().locate(str(THERE / UNTRAINED))
    assert reference.follows(preset, run)
    assert reference.compose(preset, run, THERE / UNTRAINED) == made


def other_torch(monkeypatch):
    """As if another version of torch packed the same weights in other bytes."""
    from lasnn.storage import checkpoint

    packed = checkpoint.packed
    monkeypatch.setattr(checkpoint, "packed", lambda *content: packed(*content) + b" ")


def test_export_keeps_what_it_could_not_compose(imported, monkeypatch):
    other_torch(monkeypatch)
    reference.export(read())
    assert files.sha256(KEPT / CONVERTED / "model.pt") == files.sha256(THERE / CONVERTED / "model.pt")


def test_where_it_cannot_be_composed_one_line_says_so_and_nothing_is_trained(kept, monkeypatch):
    other_torch(monkeypatch)
    said = reference.take_up(read())
    path = THERE / CONVERTED / "model.pt"
    hint = f"1 without the checkpoint, which is not kept or can't be composed here: `snakemake --cores 1 {path}`"
    assert said.endswith(f"; {hint} makes it")
    assert not path.exists()
    assert rules(kept, "tables") == {"table"}
    assert rules(kept, path) == {"converted"}
    found = trace(read(), str(THERE / STUDENT), [], verify=True)
    assert found.faults == []
    assert sum("its checkpoint is not here" in line for line in found.lines) == 2  # a leaf's, and this one


def test_without_checkpoints_every_exhibit_is_still_made(imported):
    reference.export(read(), with_checkpoints=False)
    assert not list(KEPT.rglob("model.pt"))
    shutil.rmtree(THERE)
    said = reference.take_up(read())
    assert (
        f"; 3 without the checkpoint, which is not kept or can't be composed here: `snakemake --cores 1 {THERE}" in said
    )
    assert not list(THERE.rglob("model.pt"))
    assert rules(imported, "tables") == {"table"}


def test_what_came_without_its_checkpoint_is_kept_without_it(imported):
    """As from a machine that only sent back metrics and predictions."""
    shutil.rmtree(KEPT)
    for run in (ANN, CONVERTED):
        (THERE / run / "model.pt").unlink()
    reference.export(read())
    assert json.loads((KEPT / "left_out.json").read_text()) == {"checkpoints": [str(ANN), str(CONVERTED)]}
    shutil.rmtree(THERE)
    assert "; 2 without the checkpoint" in reference.take_up(read())
    assert not (THERE / ANN / "model.pt").exists()
    assert rules(imported, "tables") == {"table"}


def test_a_checkpoint_that_is_kept_already_stays(imported):
    (THERE / TEACHER / "model.pt").unlink()
    assert reference.export(read()).startswith("0 files new or changed")
    assert (KEPT / TEACHER / "model.pt").exists()
    assert not (KEPT / "left_out.json").exists()


def test_what_was_taken_up_is_not_trained_again(imported):
    assert not (THERE / STUDENT / "model.pt").exists()
    assert rules(imported, "tables") == {"table"}
    before = {path: files.sha256(path) for path in THERE.rglob("metrics.json")}
    done(imported, "--cores", 1, "tables")
    assert {path: files.sha256(path) for path in THERE.rglob("metrics.json")} == before
    assert (THERE / "exhibits/table2.csv").read_bytes() == (KEPT / "exhibits/table2.csv").read_bytes()


def test_what_does_not_fit_is_left(kept):
    change({"presets": {"tiny": {"attention": {"alpha": 0.5}}}})
    expected = r"; \d+ not taken, such as snn/.*: made with other settings \(attention.alpha: 0.9 then, 0.5"
    assert re.search(expected, reference.take_up(read()))
    assert not (THERE / LASNN).exists()
    assert (THERE / STUDENT).exists()


def test_other_images_are_not_answered_for(kept):
    Path("data/digits.npz").unlink()
    said = reference.take_up(read())
    assert said.startswith("0 runs imported")
    assert "data/digits.npz is missing: `snakemake --cores 1 data/digits.npz` makes it" in said


def test_a_run_that_fits_or_is_under_way_is_never_overwritten_but_a_damaged_one(imported):
    times = {path: path.stat().st_mtime_ns for path in THERE.rglob("metrics.json")}
    assert reference.take_up(read()).startswith("0 runs imported")
    assert {path: path.stat().st_mtime_ns for path in THERE.rglob("metrics.json")} == times
    shutil.rmtree(THERE / STUDENT)
    (THERE / STUDENT).mkdir()
    (THERE / STUDENT / "resume.pt").write_text("a training under way")
    assert reference.take_up(read()).startswith("0 runs imported")
    assert names(THERE / STUDENT) == {"resume.pt"}
    path = THERE / LASNN / "metrics.json"
    path.write_text("{}")
    assert reference.take_up(read()).startswith("1 runs imported")
    assert path.read_bytes() == (KEPT / LASNN / "metrics.json").read_bytes()


def test_what_is_not_as_it_was_kept_is_refused_by_name(kept):
    """Damaged, missing or edited; nothing of the run is touched."""

    def refused(path, said):
        with pytest.raises(InputError, match=f"{path} {said}"):
            reference.take_up(read())
        assert not (THERE / TEACHER).exists()

    for name in ("model.pt", "predictions.npz"):
        path = KEPT / TEACHER / name
        content = path.read_bytes()
        flip(path)
        refused(path, "is not the file that its provenance describes: `git checkout")
        path.unlink()
        refused(path, "is missing: `git checkout")
        path.write_bytes(content)
    path = KEPT / TEACHER / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": 100.0}))
    refused(path, "was changed after it was made")


TEXTS = ("results/reference/a/metrics.json", "lasnn/report/paper.csv", "x.svg", ".ci/run")
CONTENTS = dict.fromkeys(TEXTS, b"a\nb\n") | {"results/reference/b.csv": b"a,b\r\n", "y.png": b"\x89\r\n\0\n"}
WISHES = (["core.autocrlf=true"], ["core.autocrlf=input"], ["core.eol=crlf", "core.autocrlf=false"])


@pytest.mark.parametrize("wish", WISHES, ids=str)
def test_a_clone_has_the_same_bytes_whatever_line_endings_it_asks_for(tmp_path, git, wish):
    """Some kept tables have two bytes at the end of a line themselves."""
    origin = tmp_path / "origin"
    for path, content in CONTENTS.items():
        files.write_bytes(origin / path, content)
    shutil.copy(Path(__file__).parents[2] / ".gitattributes", origin)
    git(origin, "init", "-q")
    wishes = [word for one in wish for word in ("-c", one)]
    git(origin, *wishes, "add", ".")
    git(origin, "commit", "-qm", "all")
    git(tmp_path, "clone", "-q", *wishes, str(origin), "clone")
    assert {path: (tmp_path / "clone" / path).read_bytes() for path in CONTENTS} == CONTENTS


def test_what_the_kept_runs_of_this_repository_were_made_from_is_kept_too():
    """Each parent with the very bytes, under its own preset or, an ANN of the same settings, under another."""
    seen, config = 0, read()
    for path in sorted(Path("results/reference").glob("*/*/**/metrics.json")):
        said = files.read_json(path)
        preset, root = config.preset(said["preset"]), Path("results/reference", said["preset"])
        for parent, digest in said["parents"].items():
            if (root / parent / "provenance.json").exists():
                found = files.read_json(root / parent / "provenance.json")["files"]["model.pt"]
            else:
                elsewhere = reference._elsewhere(preset, parse(parent))
                found = hashlib.sha256(store.readdressed(elsewhere / "model.pt", preset.name, {})).hexdigest()
            assert found == digest, (path, parent)
            seen += 1
    assert seen > 100


def test_kept_exhibits_name_the_kept_files_that_they_were_made_from():
    """By digest, in the file beside each: of runs that were packed anew it is anew as well."""
    compared = 0
    for beside in sorted(Path("results/reference").glob("*/exhibits/*.json")):
        said = files.read_json(beside)
        kept = {name.removeprefix("results/"): of for name, of in said["files"].items()}
        here = {Path("results/reference", name): of for name, of in kept.items()}
        here |= {beside.with_name(name): of for name, of in said.get("made", {}).items()}
        for path, digest in here.items():
            if path.exists():
                assert files.sha256(path) == digest, (beside, path)
                compared += 1
    assert compared > 1000


def test_nothing_kept_for_a_preset(kept):
    change({"presets": {"other": {}}})
    with pytest.raises(InputError, match=r"no kept results results/reference/other: there are some for tiny"):
        reference.take_up(read(), "other")


def test_exhibits_may_be_kept_alone(imported):
    shutil.copytree(KEPT / "exhibits", THERE / "exhibits")
    shutil.rmtree(KEPT)
    count = len(names(THERE / "exhibits"))
    assert reference.export(read(), with_runs=False).startswith(f"{count} files new or changed")
    assert names(KEPT) == {"exhibits", "SHA256SUMS"}
