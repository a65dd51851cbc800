"""What lies there is taken for what it is: whatever its times and Snakemake's notes say, in tables and pages too.

Of single runs tests/faults/arrivals.py tries what may happen to them; here is what exhibits, pages and images add.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image
from tiny import (
    ANN,
    CONVERTED,
    HYBRID,
    LASNN,
    TEACHER,
    change,
    described,
    done,
    image_tree,
    message_of,
    plan,
    snakemake,
    write_yaml,
)

from lasnn.datasets.preparation import prepare
from lasnn.errors import InputError
from lasnn.pipeline.freshness import Judge, expected_content
from lasnn.pipeline.stamp import _check_writable
from lasnn.plan.config import Config, read, whole
from lasnn.plan.runs import parse
from lasnn.report import EXHIBITS, dataframes, runs_of_target
from lasnn.report.finished import metrics_of, same_images
from lasnn.results import store
from lasnn.storage import files
from lasnn.storage.digests import Digests

KINDS = {"teacher": TEACHER, "ann": ANN, "converted": CONVERTED, "snn": HYBRID}


def made_by(folder, *words):
    return {made for _, made in plan(folder, *words)}


def reasons(target="tables"):
    """Everything that is there and must be made again, with the reason."""
    preset = read().preset()
    judge = Judge(preset)
    found = {str(run): judge.run(run) for run in runs_of_target(preset, target)}
    found |= {name: judge.exhibit(name) for name in EXHIBITS}
    return {name: reason for name, reason in found.items() if reason}


def rewritten(run, edit):
    """Edit a run's metrics and let its provenance describe that: what another version or another plan would leave."""
    folder = Path("results/tiny", run)
    content = files.read_json(folder / "metrics.json")
    edit(content)
    files.write_json(folder / "metrics.json", content, seal=True)
    described(folder)


# ---- A: what fits is taken, what doesn't is made again ---------------------------------------------------------------


SETTINGS = {
    "teacher": {"teacher": {"epochs": 2}},
    "ann": {"ann": {"lr": 0.02}},
    "converted": {"curve": {"scales": [0.7]}},
    "snn": {"student": {"epochs": 2}},
    "every one": {"network": {"width": 0.25}},
}


def test_changed_settings_age_what_reads_them_and_what_follows(project):
    before, found = Path("config.yaml").read_text(), {}
    for kind, settings in SETTINGS.items():
        Path("config.yaml").write_text(before)
        change({"presets": {"tiny": settings}})
        found[kind] = reasons()
        assert "made with other settings" in found[kind][KINDS.get(kind, ANN)]
    assert {CONVERTED, HYBRID, LASNN, "table2"} <= set(found["ann"])
    assert TEACHER not in found["ann"]
    assert "table2" in found["snn"]
    assert ANN not in found["snn"]


FOREIGN = {
    "of an older revision": lambda run: rewritten(run, lambda said: said["settings"].update(revision=0)),
    "of another run": lambda run: rewritten(run, lambda said: said["run"].update(path=run.replace("s0", "s1"))),
    "of other images": lambda run: rewritten(run, lambda said: said["data"].update(digest="0" * 64)),
    "without a fingerprint": lambda run: rewritten(run, lambda said: said.pop("fingerprint")),
    "with an edited number": lambda run: edited(Path("results/tiny", run, "metrics.json")),
}


def edited(path):
    path.write_text(re.sub(r'"accuracy": [0-9.]+', '"accuracy": 99.9', path.read_text()))


# ---- A: parents that are gone ----------------------------------------------------------------------------------------


def gone(*runs):
    for run in runs:
        shutil.rmtree(Path("results/tiny", run))


def test_a_missing_parent_of_the_same_settings_ages_nothing(project):
    gone(TEACHER)
    assert {name for name in reasons() if "/" in name} == set()  # Table IV shows the teacher itself
    assert made_by(project, "results/tiny/exhibits/table2.csv") == set()


def test_an_exhibit_that_was_edited_or_is_of_something_else_is_made_again(project, monkeypatch, tmp_path):
    """Of an earlier version, of another edition of the paper's numbers, of a run that is gone."""
    source = Path("results/tiny/exhibits/table2.json")
    for name in ("table2.csv", "table2.html", "table2.json", "table2.tex"):
        content = source.with_name(name).read_text()
        source.with_name(name).write_text(content.replace("9", "8", 1) + "\n")
        assert set(reasons()) == {"table2"}, name
        source.with_name(name).write_text(content)
    said = files.read_json(source)
    files.write_json(source, {key: value for key, value in said.items() if key != "made"})
    assert "table2" in reasons()
    files.write_json(source, said)
    (tmp_path / "paper.csv").write_text("something else")
    with monkeypatch.context() as package:
        package.setattr("lasnn.report.exhibit.Exhibit.place_of", lambda exhibit, path: tmp_path / "paper.csv")
        assert "table2" in reasons()
    assert reasons() == {}
    gone(HYBRID)
    assert "table2" in reasons()


def test_a_page_shows_what_is_there_now(project):
    """Notebooks rest on metrics; the tiny preset has executed none, so a page is made up to the same rules."""
    preset = read().preset()
    page = Path("results/tiny/notebooks/energy.html")
    page.parent.mkdir()
    for run in dataframes.base_runs(preset):  # what `tables` doesn't run
        if not Path(preset.folder(run), "metrics.json").exists():
            shutil.copytree(Path("results/tiny", HYBRID), preset.folder(run))
    page.write_text("<html><head></head>old</html>")
    assert Judge(preset).page("energy") is not None
    assert Judge(preset).page("spike_counts") is None  # there is none


# ---- A: own data -----------------------------------------------------------------------------------------------------


def birds(tmp_path, monkeypatch):
    """A configuration with a dataset of one's own, prepared."""
    monkeypatch.chdir(tmp_path)
    own = image_tree(tmp_path / "birds", classes="ab")
    content = whole(Path(__file__).parents[2] / "config.yaml")
    content["datasets"] = {"birds": {"folder": str(own), "side": 8}}
    prepare("birds", tmp_path / "data" / "birds.npz", folder=str(own), side=8)
    return content, own


def judged(content):
    return Judge(Config(content).preset()).data("birds")


def test_own_images_are_their_content(tmp_path, monkeypatch):
    """Another image, an edited one with its date kept, a renamed class, another place."""
    content, own = birds(tmp_path, monkeypatch)
    trees = [shutil.copytree(own, tmp_path / name) for name in ("more", "edited", "renamed")]
    trees.append(image_tree(tmp_path / "others", classes="ab", seed=2))
    before = expected_content(Config(content), "birds", Digests(None))
    Image.new("RGB", (8, 8)).save(trees[0] / "train" / "a" / "9.png")
    edited, dates = trees[1] / "train" / "a" / "0.png", (own / "train" / "a" / "0.png").stat()
    Image.new("RGB", (8, 8)).save(edited)
    os.utime(edited, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    for split in ("train", "test"):
        (trees[2] / split / "a").rename(trees[2] / split / "c")
    for tree in trees:
        assert judged(content) is None
        with monkeypatch.context() as elsewhere:
            elsewhere.setitem(content["datasets"]["birds"], "folder", str(tree))
            assert judged(content) == "the source of birds holds other images than were prepared", tree
            assert expected_content(Config(content), "birds", Digests(None)) != before, tree


def test_where_own_images_lie_says_nothing(tmp_path, monkeypatch):
    content, own = birds(tmp_path, monkeypatch)
    before = expected_content(Config(content), "birds", Digests(None))
    shutil.copytree(own, tmp_path / "moved")
    shutil.rmtree(own)
    assert judged(content) is None  # a clone with prepared images alone
    content["datasets"]["birds"]["folder"] = str(tmp_path / "moved")
    assert judged(content) is None
    assert expected_content(Config(content), "birds", Digests(None)) == before
    content["datasets"]["birds"]["side"] = 16
    assert "side" in judged(content)
    content["datasets"]["birds"] |= {"side": 8, "resize": True}
    assert "resize: false" in judged(content)


@pytest.mark.parametrize("dataset", ["cifar10", "digits", "tinyimagenet"])
def test_a_mirror_that_is_gone_or_an_address_asks_for_nothing(tmp_path, dataset):
    content = whole(Path(__file__).parents[2] / "config.yaml")
    for mirror in (None, str(tmp_path / "gone"), "http://localhost:1/none", str(tmp_path)):
        assert expected_content(Config(content | {"mirror": mirror}), dataset, Digests(None)) is None


def test_a_mirror_that_grew_is_prepared_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image_tree(tmp_path / "mirror" / "cifar10", classes="abcdefghij", side=32)
    asked = {"mirror": str(tmp_path / "mirror"), "allow_subset": True}
    judge = Judge(Config(whole(Path(__file__).parents[2] / "config.yaml") | asked).preset())
    prepare("cifar10", tmp_path / "data" / "cifar10.npz", **asked)
    assert judge.data("cifar10") is None
    Image.new("RGB", (32, 32)).save(tmp_path / "mirror" / "cifar10" / "train" / "a" / "9.png")
    assert "holds other images" in Judge(judge.preset).data("cifar10")


# ---- A: the second line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_does_not_answer_the_plan_is_refused_by_exhibits_and_made_again(project, tmp_path, kind):
    run = KINDS[kind]
    shutil.copytree(Path("results/tiny", run), tmp_path / "run")
    for what, spoil in FOREIGN.items():
        spoil(run)
        assert f"snakemake --cores 1 results/tiny/{run}" in message_of(metrics_of, parse(run), read().preset()), what
        found = reasons()
        assert {run, "table_s1"} <= set(found), what
        if kind == "ann":
            assert found[LASNN].startswith("it rests on")
        gone(run)
        shutil.copytree(tmp_path / "run", Path("results/tiny", run))


def test_runs_of_different_images_never_stand_side_by_side(finished):
    found = [files.read_json(finished / "results/tiny" / run / "metrics.json") for run in (ANN, HYBRID)]
    same_images(found)
    found[1]["data"]["digest"] = "0" * 64
    with pytest.raises(InputError, match="different images of digits"):
        same_images(found)


# ---- B: nothing finished is lost -------------------------------------------------------------------------------------


def test_a_replaced_run_is_kept_once_without_room_and_taken_up_again(project):
    preset = read().preset()
    for run in map(parse, KINDS.values()):
        folder = Path(preset.folder(run))
        before = {name: files.sha256(folder / name) for name in ("model.pt", "metrics.json")}
        place = store.keep(preset, run)
        assert os.path.samefile(place / "model.pt", folder / "model.pt")
        assert store.keep(preset, run) == place
        assert len(list(place.parent.iterdir())) == 1
        shutil.rmtree(folder)
        assert store.take(preset, run) == place
        assert {name: files.sha256(folder / name) for name in before} == before
        assert reasons() == {}


def test_missing_images_retrain_nothing(project):
    """One run is missing as well: it and the images are made, and nothing that is finished."""
    Path("data/digits.npz").unlink()
    shutil.rmtree(Path("results/tiny", LASNN))
    made = {path for path in made_by(project, "tables") if "exhibits" not in path}
    assert made == {"digits", f"results/tiny/{LASNN}"}


def test_what_is_missing_behind_a_run_that_is_made_again_is_made_too(project):
    """Only the ANNs are there, and one of them is of other settings: the tables are made all the same."""
    change({"presets": {"tiny": SETTINGS["ann"]}})
    for name in ("converted", "snn", "exhibits"):
        shutil.rmtree(Path("results/tiny", name))
    wanted = {f"results/tiny/{run}" for run in runs_of_target(read().preset(), "tables")} - {f"results/tiny/{TEACHER}"}
    made = made_by(project, "tables")
    assert wanted <= made
    assert "results/tiny/exhibits/table2.csv" in made


def test_the_way_out_of_a_run_of_other_settings(project):
    """A run that a verb left under the present one's name and notes; snakemake, and then it is as it was."""
    before = files.sha256(f"results/tiny/{TEACHER}/model.pt"), files.sha256("results/tiny/exhibits/table4.csv")
    other = whole()
    other["presets"]["tiny"]["teacher"]["epochs"] = 2
    write_yaml("other.yaml", other)
    command = [sys.executable, "-m", "lasnn", "ann", f"results/tiny/{TEACHER}", "--config", "other.yaml"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert files.sha256(f"results/tiny/{TEACHER}/model.pt") != before[0]
    target = "results/tiny/exhibits/table4.csv"
    for words in ([], ["--workflow-profile", "none"]):
        assert f"results/tiny/{TEACHER}" in made_by(project, target, *words)
    snakemake(project, "--cores", 1, "--touch", target)
    said = done(project, "--cores", 1, target).stderr
    assert "to be made again: " + TEACHER in said
    assert "taken from results/.kept/tiny/" in said
    assert (files.sha256(f"results/tiny/{TEACHER}/model.pt"), files.sha256(target)) == before
    assert "Nothing to be done" in done(project, "--cores", 1, target).stderr


def test_the_workflow_hears_of_it_whatever_the_dates(project):
    """A stale run among fresh ones, all files dated alike, in 1970, 2099 and now; a dry run changes no byte."""
    change({"presets": {"tiny": SETTINGS["snn"]}})
    before = {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
    for when in (1, 4e9, None):
        for path in before:
            os.utime(path, when and (when, when))
        made = made_by(project, "results/tiny/exhibits/table2.csv")
        assert {f"results/tiny/{HYBRID}", f"results/tiny/{LASNN}", "results/tiny/exhibits/table2.csv"} <= made
        assert not {f"results/tiny/{run}" for run in (ANN, TEACHER, CONVERTED)} & made
        assert {path: path.read_bytes() for path in before} == before


def test_what_was_typed_is_made_whatever_fits(project):
    every = {f"results/tiny/{run}" for run in (ANN, TEACHER, CONVERTED, HYBRID, LASNN)}
    assert every <= made_by(project, "-F", "tables")
    after = made_by(project, "tables", "-R", "converted")
    assert {f"results/tiny/{run}" for run in (CONVERTED, HYBRID, LASNN)} <= after
    assert not {f"results/tiny/{ANN}", f"results/tiny/{TEACHER}"} & after


@contextlib.contextmanager
def as_nobody():
    """Another user while the block runs."""
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
@pytest.mark.parametrize(("rights", "free"), [(0o755, False), (0o1777, False), (0o777, True)])
def test_files_of_somebody_else_end_the_call_before_the_first_job(rights, free):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder, "s0")
        place.mkdir()
        place.chmod(rights)
        (place / "model.pt").write_text("theirs")
        (place / "model.pt").chmod(0o666)
        asked = [str(place / "metrics.json"), str(place / "model.pt")]
        with as_nobody():
            told = _check_writable(asked) if free else message_of(_check_writable, asked)
    expected = f"{place}/model.pt does not fit the plan and can't be replaced here: it belongs to root"
    assert told is None if free else told.startswith(expected)
