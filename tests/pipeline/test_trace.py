"""From one cell to its data, and what `--verify` finds after each kind of change."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import ANN, CONVERTED, LASNN, TEACHER, change_a_pixel, described, flip, sealed

from lasnn.__main__ import main
from lasnn.pipeline.trace import trace
from lasnn.plan.config import read
from lasnn.storage import files

TABLE = "results/tiny/exhibits/table2.csv"
CELL = ["3Conv2Linear", "lasnn_act"]
CHAIN = [LASNN, CONVERTED, ANN, TEACHER]
VERIFIED = ["--row", "3conv2linear", "--column", "lasnn_act", "--verify"]


@pytest.fixture
def traced(capsys):
    """traced(path, ...): the lines that `trace` prints."""

    def call(path, *words, status=0):
        assert main(["trace", str(path), *words]) == status
        return capsys.readouterr().out.splitlines()

    return call


def faults():
    return trace(read(), TABLE, CELL, verify=True).faults


def test_the_chain_of_a_cell_goes_down_to_the_images(project, traced):
    said = traced(TABLE, *VERIFIED)
    starts = [line.strip().split(":")[0] for line in said]
    assert [start for start in starts if start in CHAIN] == CHAIN
    depths = {start: len(line) - len(line.lstrip()) for start, line in zip(starts, said, strict=True) if start in CHAIN}
    assert [depths[run] for run in CHAIN] == [2, 4, 6, 4]
    assert sum("data digits: sha256" in line for line in said) == 4
    reckoned = "accuracies of 4 runs reckoned again, labels of digits as in data/digits.npz"
    assert said[-1] == f"verified: 4 runs, their settings, parents and images; {reckoned}"


def test_one_changed_byte_of_a_checkpoint(project, traced):
    flip(path := Path("results/tiny", CHAIN[1], "model.pt"))
    found = faults()
    assert len(found) == 2  # as what the table shows, and as a file
    assert found[0].startswith("table2 is not what the files behind it say")
    assert str(path) in found[1]
    traced(TABLE, *VERIFIED, status=1)


def test_a_missing_checkpoint_counts_as_stated(project, traced):
    """Of a student, and of a parent whose digest the student states."""
    for run in CHAIN[:2]:
        Path("results/tiny", run, "model.pt").unlink()
    said = traced(TABLE, *VERIFIED)
    assert said[-1].endswith("data/digits.npz; 2 checkpoints are not here and count as they are stated")
    hint = f"its checkpoint is not here: `snakemake --cores 1 results/tiny/{CHAIN[1]}/model.pt` makes it again"
    assert sum(hint in line for line in said) == 1
    made = Path("results/tiny", CHAIN[1], "provenance.json")
    sealed(made, files=files.read_json(made)["files"] | {"model.pt": "0" * 64})
    assert any(fault.endswith(f"made from another {CHAIN[1]} than the one that is there now") for fault in faults())


def test_other_images(project):
    change_a_pixel("data/digits.npz")
    table, *found = faults()
    assert "which is to be made again: made from other images" in table
    assert len(found) == 4
    for run, fault in zip(CHAIN, found, strict=True):
        assert f"{run} is not what the plan asks for: made from other images" in fault
    with np.load("data/digits.npz") as file:  # damage that the header doesn't admit
        entries = {key: file[key] for key in file}
    entries["test_images"] = entries["test_images"] ^ 1
    np.savez("data/digits.npz", **entries)
    assert any("is damaged: its content has the digest" in fault for fault in faults())


def test_a_changed_number(project):
    path = Path(TABLE)
    lines = path.read_text().splitlines()
    row = next(index for index, line in enumerate(lines) if CHAIN[0] in line)
    ours = lines[0].split(",").index("ours")
    cells = lines[row].split(",")
    value, cells[ours] = cells[ours], "99.9"
    path.write_text("\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]]) + "\n")
    assert faults() == [
        f"table2 is not what the files behind it say: {path} has changed since it was made",
        f"table2 says 99.9, its runs' metrics {float(value)}",
    ]


@pytest.mark.parametrize("run", CHAIN)
def test_a_forged_accuracy_with_all_digests_anew(project, traced, run):
    """Of each kind of run; the predictions say otherwise."""
    folder = Path("results/tiny", run)
    metrics = files.read_json(folder / "metrics.json")
    if "curves" in metrics:
        metrics["curves"][0]["accuracy"]["10"] += 1
    else:
        metrics["accuracy"] += 1
    sealed(folder / "metrics.json", **metrics)
    described(folder)
    said = traced(folder, "--verify", status=1)
    (fault,) = [line for line in said if line.startswith("MISMATCH: ")]
    assert fault.startswith(f"MISMATCH: {folder}/metrics.json says accuracy ")
    assert ", its predictions give " in fault


KEPT = Path("results/reference/small")
CLAIMS = KEPT / "exhibits/claims.csv"
PAIR = ["snn/cifar10/vgg5/kd_label/poisson-T16/vgg16bn/base", "snn/cifar10/vgg5/lasnn_act/poisson-T16/vgg16bn/base"]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A clone with kept results and neither images nor results of its own."""
    root = Path(__file__).parents[2]
    for name in ("config.yaml", "config", "results"):
        os.symlink(root / name, tmp_path / name) if name != "results" else (tmp_path / name).mkdir()
    os.symlink(root / "results/reference", tmp_path / "results/reference")
    monkeypatch.chdir(tmp_path)


def runs_in(said):
    """The runs right behind the cells: two blanks before them."""
    return [line.split(":")[0].strip() for line in said if re.match(r"  \S", line)]


@pytest.mark.parametrize(
    ("row", "column"),
    [("VGG5", "LaSNN"), ("vgg5", "LaSNN: ours"), ("VGG5", "lasnn_act"), ("52.89 ± 1.73 (n=3)", None)],
)
def test_a_kept_cell_is_named_as_its_table_shows_it(bare, row, column, traced):
    """By row and column of Table II or by the number itself; down to the digest of images that are not here."""
    said = traced(KEPT / "exhibits/table2.md", "--row", row, *(["--column", column] if column else []))
    assert len([line for line in said if not line.startswith(" ")]) == 1
    assert "student VGG5" in said[0]
    assert ": 52.89 (paper: 86.68), n = 3" in said[0]
    assert runs_in(said) == [f"{PAIR[1]}/s{seed}" for seed in range(3)]
    digest = files.read_json(KEPT / PAIR[1] / "s0/metrics.json")["data"]["digest"][:12]
    assert sum(f"data cifar10: sha256 {digest}, 10000 + 2000 images" in line for line in said) >= 4
    assert not [line for line in said if "snakemake" in line]


OF_VGG5 = ["--row", "CIFAR-10 VGG5, T = 16"]


def test_a_claim_goes_down_to_both_sides(bare, traced):
    """Its line says the numbers and the test as the table of claims does."""
    said = traced(CLAIMS, "--row", "LaSNN is above label KD", *OF_VGG5, "--column", "verdict")
    found = [[KEPT / side / f"s{seed}" / "metrics.json" for seed in range(3)] for side in PAIR]
    values = [sum(files.read_json(path)["accuracy"] for path in paths) / 3 for paths in found]
    assert f"ours {values[0]:.2f} / {values[1]:.2f}, difference {values[1] - values[0]:.2f}" in said[0]
    assert said[0].endswith("verdict too few seeds, remark 3 of 5 seeds, test none: 3 of 5 seeds")
    assert runs_in(said) == [f"{side}/s{seed}" for side in PAIR for seed in range(3)]


def test_a_claim_is_named_by_its_key_too(bare, traced):
    """All of its lines, and no other claim's."""
    said = [line for line in traced(CLAIMS, "--row", "kd_below_lasnn", *OF_VGG5) if not line.startswith(" ")]
    assert [line.split(",")[0] for line in said] == [
        "claims: claim LaSNN is above label KD",
        "claims: claim LaSNN is above label KD: each method with what was chosen for it alone",
    ]


def test_a_kept_chain_is_verified_where_it_lies(bare, traced):
    last = traced(KEPT / "exhibits/table2.csv", "--row", "VGG5", "--column", "LaSNN", "--verify")[-1]
    assert last.startswith(
        "verified: 12 runs, their settings and parents; images of cifar10 count as stated; accuracies of 12 runs "
        "reckoned again, labels of cifar10 as kept: there is no data/cifar10.npz; "
    )


def test_one_changed_byte_of_a_kept_run(bare, traced, capsys):
    """Of this run, and of no other; tests/pipeline/test_verify.py has every kind of file."""
    Path("results/reference").unlink()
    for preset in ("small", "bfloat16"):
        shutil.copytree(Path(__file__).parents[2] / "results/reference" / preset, f"results/reference/{preset}")
    run = KEPT / PAIR[1] / "s1"
    flip(run / "log.jsonl")
    said = traced(run, "--verify", status=1)
    assert any(f"MISMATCH: {run}/log.jsonl is not the file that was kept" in line for line in said)
    traced(run.with_name("s0"), "--verify")
    flip(run / "metrics.json")
    assert main(["trace", str(run), "--verify"]) == 2
    assert f"error: {run}/metrics.json " in capsys.readouterr().err


def test_exhibits_whose_runs_are_not_kept(bare, traced):
    """Each is named."""
    said = traced("results/reference/tuning/exhibits/table_s6.csv", "--row", "VGG5", "--column", "LaSNN")
    assert {line.split(": ")[1] for line in said if line.startswith("  ")} == {"not kept"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["table2.csv", "--row", "VGG77", "--column", "LaSNN"], "table2.csv holds VGG77 and LaSNN: its rows are "),
        (["table2.csv", "--row", "VGG5", "--column", "nobody"], "table2.csv holds VGG5 and nobody: its rows are "),
        (["claims.csv", "--row", "LaSNN is abov hybrid"], "are LaSNN is above hybrid training, LaSNN is above label "),
        (["tabel2.csv"], "tabel2.csv' is not the file of an exhibit: known are table1"),
    ],
)
def test_what_is_not_there_is_one_line(bare, capsys, words, told):
    """A row, a column and an exhibit that there are not: what there is instead."""
    assert main(["trace", f"{KEPT}/exhibits/{words[0]}", *words[1:]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert len(line) < 700
