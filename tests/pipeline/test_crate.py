"""A Provenance Run Crate of kept results, opened by `rocrate` as a stranger does."""

import errno
import json
import os
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from lasnn.__main__ import main
from lasnn.storage import files

ROOT = Path(__file__).parents[2]
KEPT = Path("results/reference/bfloat16")
LASNN = "snn/cifar10/vgg5/lasnn_act/poisson-T16/vgg16bn/base/s0"
rocrate = pytest.importorskip("rocrate.rocrate", reason="needs the dependency group `crate`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The crate of a preset of which only kept results are here, written without any network."""
    target = tmp_path_factory.mktemp("crate") / "new"
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(socket.socket, "connect", None)
        cut.setattr(socket, "getaddrinfo", None)
        assert main(["crate", "--preset", "bfloat16", "--out", str(target)]) == 0
    return target


@pytest.fixture(scope="module")
def crate(folder):
    return rocrate.ROCrate(folder)


def many(value):
    return value if isinstance(value, list) else [value]


def made_by(crate, entity):
    """The step that has this among its results."""
    whole = crate.dereference("#workflow-run")
    actions = [one for one in crate.get_by_type("CreateAction") if one != whole]
    (action,) = [one for one in actions if entity in many(one["result"])]
    return action


def test_a_number_is_followed_from_its_table_to_the_images(crate, folder):
    """Through files, actions and checkpoints by digest, as metrics and provenance say."""
    table = made_by(crate, crate.dereference("exhibits/table_s4.csv"))
    metrics = crate.dereference(f"{LASNN}/metrics.json")
    assert metrics in table["object"]
    run, chain = made_by(crate, metrics), []
    while True:
        chain.append(run["name"])
        said = files.read_json(ROOT / KEPT / run["name"] / "metrics.json")
        images = [one for one in run["object"] if one.id.startswith("#images/")]
        assert [one["sha256"] for one in images] == [said["data"]["digest"]]
        checkpoints = [one for one in run["object"] if one["name"].endswith("model.pt")]
        assert {one["name"].removesuffix("/model.pt"): one["sha256"] for one in checkpoints} == said["parents"]
        if not checkpoints:
            break
        run = made_by(crate, max(checkpoints, key=lambda one: one["name"]))
    assert [name.split("/")[0] for name in chain] == ["snn", "converted", "ann"]


def test_a_run_says_what_its_provenance_says(crate):
    """Stage at its commit, settings, seconds, device, start and end."""
    run = crate.dereference(f"#run/{LASNN}")
    made = files.read_json(ROOT / KEPT / LASNN / "provenance.json")
    assert run["instrument"]["softwareVersion"] == made["code"]["commit"]
    assert run["instrument"]["name"] == "python -m lasnn snn"
    settings = {one["name"]: one["value"] for one in run["object"] if one.type == "PropertyValue"}
    for section, key in (("training", "epochs"), ("spiking", "leak"), ("neuron", "reset")):
        assert settings[f"{section}.{key}"] == str(made["settings"][section][key])
    assert {one["name"]: one["value"] for one in run["environment"]}["device"] == made["device"]
    seconds = next(one["value"] for one in run["resourceUsage"] if one["name"] == "seconds")
    assert float(seconds) == made["seconds"]
    start, end = (datetime.fromisoformat(run[name]) for name in ("startTime", "endTime"))
    assert start == datetime.fromisoformat(made["started"])
    assert abs((end - start).total_seconds() - made["seconds"]) < 1


def test_every_file_has_its_digest(crate, folder):
    """Also those of an ANN that another preset keeps."""
    stated = {one.id: one["sha256"] for one in crate.get_by_type("File") if one.get("sha256")}
    assert f"{LASNN}/predictions.npz" in stated
    assert "ann/cifar10/vgg5/base/s0/predictions.npz" in stated
    assert not list((ROOT / KEPT / "ann/cifar10/vgg5/base/s0").glob("*.npz"))
    assert {name: files.sha256(folder / name) for name in stated} == stated
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*stated, "workflow/Snakefile", "ro-crate-metadata.json"}


def test_each_run_and_each_exhibit_is_a_step_of_the_one_workflow(crate):
    """As the profile asks: engine, control actions, steps, tools, licence and authors."""
    runs = {path.parent.relative_to(ROOT / KEPT).as_posix() for path in (ROOT / KEPT).glob("*/**/metrics.json")}
    exhibits = {f"exhibits/{path.stem}" for path in (ROOT / KEPT).glob("exhibits/*.json")}
    (engine,) = crate.get_by_type("OrganizeAction")
    steps = [one["object"].id for one in engine["object"]]
    assert sorted(steps) == sorted([*(f"#run/{run}" for run in runs), *(f"#{name}" for name in exhibits)])
    assert all(one["object"]["instrument"] in one["instrument"]["workExample"] for one in engine["object"])
    assert engine["result"]["instrument"] == crate.mainEntity
    assert {tool for one in crate.mainEntity["step"] for tool in one["workExample"]} == set(crate.mainEntity["hasPart"])
    assert crate.root_dataset["license"].id == "https://spdx.org/licenses/MIT"
    assert [one["name"] for one in crate.root_dataset["author"]] == ["lasnn authors"]
    assert "https://w3id.org/ro/wfrun/provenance/0.5" in [one.id for one in crate.root_dataset["conformsTo"]]


def test_the_same_results_give_the_same_crate(folder, tmp_path):
    """To the byte: no clock is in it, and no name of a folder."""
    main(["crate", "--preset", "bfloat16", "--out", str(tmp_path / "again")])
    one, other = (json.loads((at / "ro-crate-metadata.json").read_text()) for at in (folder, tmp_path / "again"))
    assert one == other
    assert str(ROOT) not in json.dumps(one)


def test_a_full_disk_leaves_the_crate_that_was_there(tmp_path, monkeypatch, capsys):
    """Half of one is written when the disk is full: one line, the old crate whole, nothing beside it."""

    def half(self, base):
        Path(base).mkdir()
        (Path(base) / "part").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    old = tmp_path / "crate" / "ro-crate-metadata.json"
    files.write_text(old, "old")
    monkeypatch.setattr(rocrate.ROCrate, "write", half)
    assert main(["crate", "--preset", "bfloat16", "--out", str(old.parent)]) not in (0, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]
    assert old.read_text() == "old"


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("bfloat16", "{out} holds other files than a crate"),
        ("paper", "no finished run in results/paper and none kept in results/reference/paper"),
    ],
)
def test_where_no_crate_can_be_written_one_line_says_why(tmp_path, capsys, preset, told):
    (tmp_path / "mine").write_text("")
    assert main(["crate", "--preset", preset, "--out", str(tmp_path)]) == 2
    assert f"error: {told.format(out=tmp_path)}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_without_the_library_a_line_says_what_to_install():
    code = "import sys; sys.modules['rocrate'] = None; from lasnn.__main__ import main; sys.exit(main(['crate']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "error: a crate takes the library rocrate: `uv sync --group crate` or `pip install rocrate`\n"
