"""From one cell to its data, and what `--verify` finds after each kind of change."""

from pathlib import Path

import numpy as np
from tiny import ANN, CONVERTED, LASNN, TEACHER, change_a_pixel

from lasnn.__main__ import main
from lasnn.pipeline.trace import trace
from lasnn.plan.config import read
from lasnn.storage import files

TABLE = "results/tiny/exhibits/table2.csv"
CELL = ["3Conv2Linear", "lasnn_act"]
CHAIN = [LASNN, CONVERTED, ANN, TEACHER]


def faults():
    return trace(read(), TABLE, CELL, verify=True).faults


def test_the_chain_of_a_cell_goes_down_to_the_images(project, capsys):
    assert main(["trace", TABLE, "--row", "3conv2linear", "--column", "lasnn_act", "--verify"]) == 0
    said = capsys.readouterr().out.splitlines()
    starts = [line.strip().split(":")[0] for line in said]
    assert [start for start in starts if start in CHAIN] == CHAIN
    depths = {start: len(line) - len(line.lstrip()) for start, line in zip(starts, said, strict=True) if start in CHAIN}
    assert [depths[run] for run in CHAIN] == [2, 4, 6, 4]
    assert sum("data digits: sha256" in line for line in said) == 4
    assert said[-1] == "verified: 4 runs, their settings, parents and images"


def test_one_changed_byte_of_a_checkpoint(project):
    path = Path("results/tiny", CHAIN[1], "model.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = faults()
    assert len(found) == 2  # as what the table shows, and as a file
    assert found[0].startswith("table2 is not what the files behind it say")
    assert str(path) in found[1]
    assert main(["trace", TABLE, "--row", CELL[0], "--column", CELL[1], "--verify"]) == 1


def test_a_missing_checkpoint_counts_as_stated(project, capsys):
    """Of a student, and of a parent whose digest the student states."""
    for run in CHAIN[:2]:
        Path("results/tiny", run, "model.pt").unlink()
    words = ["trace", TABLE, "--row", CELL[0], "--column", CELL[1], "--verify"]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("images; 2 checkpoints are not here and count as they are stated")
    hint = f"its checkpoint is not here: `snakemake --cores 1 results/tiny/{CHAIN[1]}/model.pt` makes it again"
    assert sum(hint in line for line in said) == 1
    made = Path("results/tiny", CHAIN[1], "provenance.json")
    content = files.read_json(made)
    content["files"]["model.pt"] = "0" * 64
    files.write_json(made, content, seal=True)
    assert any(fault.endswith(f"made from another {CHAIN[1]} than the one that is there now") for fault in faults())


def test_other_images(project):
    change_a_pixel("data/digits.npz")
    table, *found = faults()
    assert "which is to be made again: made from other images" in table
    assert len(found) == 4
    assert all(
        f"{run} is not what the plan asks for: made from other images" in fault
        for run, fault in zip(CHAIN, found, strict=True)
    )
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
