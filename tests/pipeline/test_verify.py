"""Kept results of this repository, audited as a stranger does: whole, and after each kind of change."""

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tiny import described, flip, sealed

from lasnn.__main__ import main
from lasnn.datasets import arrays
from lasnn.pipeline import reference
from lasnn.plan.config import read
from lasnn.storage import files

ROOT = Path(__file__).parents[2]
KEPT = Path("results/reference")
SEEDS = "snn/cifar10/vgg5/hybrid/poisson-T16/none/base"
SNN, CHECKPOINT = f"{SEEDS}/s0", KEPT / "verdicts" / SEEDS / "s0" / "model.pt"
# Of each kind of kept file one, each of another run or exhibit, so that none hides behind another.
OF_RUNS = [KEPT / "bfloat16" / SEEDS / name for name in ("s0/metrics.json", "s1/predictions.npz", "s2/provenance.json")]
OF_EXHIBITS = [KEPT / "bfloat16/exhibits" / name for name in ("table_s4.csv", "runs.md", "figure_ablations.json")]
OTHERS = [KEPT / "bfloat16" / name for name in (f"{SNN}/log.jsonl", "exhibits/figure_ablations.png", "left_out.json")]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A project of configuration and kept results alone; those of two presets may be changed."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / KEPT).mkdir(parents=True)
    for name in ("bfloat16", "verdicts"):
        shutil.copytree(ROOT / KEPT / name, tmp_path / KEPT / name)
    os.symlink(ROOT / KEPT / "small", tmp_path / KEPT / "small")  # it has ANNs that bfloat16 shares
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def verified(clone, capsys):
    """verified(preset): exit status, the line of the preset, and what is wrong."""

    def call(*words):
        status = main(["verify", *words])
        line, *faults = capsys.readouterr().out.splitlines()
        return status, line, [fault.removeprefix("MISMATCH: ") for fault in faults]

    return call


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / KEPT).iterdir()))
def test_what_is_kept_in_this_repository(name, monkeypatch, capsys):
    """Every file, run, accuracy and exhibit of each preset; the last are made again to the byte."""
    monkeypatch.chdir(ROOT)
    assert main(["verify", f"{KEPT}/{name}"]) == 0, capsys.readouterr().out
    line = capsys.readouterr().out.strip()
    assert line.startswith(f"{name}: verified: ")
    counted = re.findall(r"(\d+) of (\d+) (?:files|runs)", line)
    assert counted
    assert all(one == other for one, other in counted)
    runs = len(list(Path(KEPT, name).glob("*/**/metrics.json")))
    assert (f"accuracies of {runs} runs reckoned again" in line) == (runs > 0)
    exhibits = len(list(Path(KEPT, name).glob("exhibits/*.json")))
    if runs and exhibits:
        maps = Path(KEPT, name, "exhibits", "figure2.json")  # with a run to show it shows test images too
        shown = maps.exists() and any(cell["runs"] for cell in json.loads(maps.read_text())["cells"])
        apart = 1 if shown and not Path("data/cifar10.npz").exists() else 0
        assert f"{exhibits - apart} exhibits made again to the byte" in line


@pytest.mark.parametrize("paths", [[*OF_RUNS, *OF_EXHIBITS, *OTHERS], [CHECKPOINT]], ids=["bfloat16", "verdicts"])
def test_one_changed_byte_is_found_and_named(verified, paths):
    """In each kind of file that is kept."""
    for path in paths:
        flip(path)
    name = paths[0].parts[2]
    status, line, faults = verified(name)
    assert status == 1
    assert {f"{path} is not the file that was kept (SHA256SUMS says so)" for path in paths} <= set(faults)
    assert line.startswith(f"{name}: FAILED, {len(faults)} mismatch")


@pytest.mark.parametrize("paths", [OF_RUNS, OF_EXHIBITS, [CHECKPOINT]], ids=["runs", "exhibits", "checkpoint"])
def test_a_list_of_digests_written_anew_hides_no_change(verified, paths):
    """What runs and exhibits say of themselves is compared too."""
    for path in paths:
        flip(path)
    reference._record(Path(*paths[0].parts[:3]))
    status, _, faults = verified(paths[0].parts[2])
    assert status == 1
    for path in paths:
        named = path.with_suffix("") if path in OF_EXHIBITS else path.parent
        assert any(str(named) in fault for fault in faults), path


def test_a_forged_accuracy_with_all_digests_anew(verified):
    """The predictions say otherwise."""
    folder = KEPT / "bfloat16" / SNN
    said = files.read_json(folder / "metrics.json")["accuracy"]
    sealed(folder / "metrics.json", accuracy=said + 1)
    described(folder)
    reference._record(KEPT / "bfloat16")
    kept = np.load(folder / "predictions.npz")
    assert said == pytest.approx(100 * (kept["predicted"] == kept["labels"]).mean())
    _, _, faults = verified("bfloat16")
    assert f"{folder}/metrics.json says accuracy {said + 1:.2f} %, its predictions give {said:.2f}" in faults
    assert f"{KEPT}/bfloat16/exhibits/table_s4.csv is not what its runs give" in faults


def without(folder, key):
    """Metrics without a key."""
    content = files.read_json(folder / "metrics.json")
    content.pop(key)
    files.write_json(folder / "metrics.json", content, seal=True)


def with_arrays(folder, change):
    """Predictions with other arrays."""
    with np.load(folder / "predictions.npz") as kept:
        arrays = dict(kept)
    change(arrays)
    np.savez(folder / "predictions.npz", **arrays)


def with_data(folder, **update):
    data = files.read_json(folder / "metrics.json")["data"] | update
    sealed(folder / "metrics.json", data={key: value for key, value in data.items() if value is not None})


MALFORMED = {
    "accuracy": (lambda folder: without(folder, "accuracy"), "it lacks 'accuracy'"),
    "predictions": (lambda folder: with_arrays(folder, lambda arrays: arrays.pop("predicted")), "it lacks 'predicted'"),
    "a seed": (lambda folder: with_arrays(folder, lambda arrays: arrays.update(predicted=arrays["predicted"][:2])), ""),
    "digest": (lambda folder: with_data(folder, digest=None), "it lacks 'digest'"),
    "broken": (lambda folder: (folder / "predictions.npz").write_bytes(b"PK no archive"), "predictions.npz is damaged"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_run_with_all_digests_anew_is_one_line(verified, what):
    """What it lacks; the other runs and what they show are compared as usual."""
    break_it, said = MALFORMED[what]
    folder = KEPT / "bfloat16" / SNN
    break_it(folder)
    described(folder)
    reference._record(KEPT / "bfloat16")
    status, line, faults = verified("bfloat16")
    assert status == 1
    assert all(str(folder) in fault for fault in faults)
    fault = faults[-1]
    assert fault.startswith(f"{folder}: its metrics and predictions don't go together: ")
    assert said in fault
    runs = len(list((KEPT / "bfloat16").glob("*/**/metrics.json")))
    assert f"accuracies of {runs - 1} runs reckoned again" in line
    assert "runs, table_s4 as recorded: what is wrong with its runs comes first" in line


def test_a_broken_preset_does_not_hide_another(clone, capsys):
    """Neither one whose list can't be read nor one that the configuration lacks."""
    (KEPT / "bfloat16/SHA256SUMS").write_text("nothing\n")
    shutil.copytree(KEPT / "bfloat16", KEPT / "nobodys")
    (KEPT / "verdicts/exhibits").rename(KEPT / "verdicts/shown")
    assert main(["verify", "nobodys", "bfloat16", "verdicts"]) == 1
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split(": ")[0] for line in lines]
    assert starts[:5] == ["nobodys", "MISMATCH", "bfloat16", "MISMATCH", "verdicts"]
    assert "is of no preset of the configuration" in lines[1]
    assert "SHA256SUMS can't be read" in lines[3]


def forged(path, text):
    """Another text of an exhibit's file, with all digests anew."""
    path.write_text(text)
    beside = path.with_suffix(".json")
    sealed(beside, made=files.read_json(beside)["made"] | {path.name: files.sha256(path)})
    reference._record(KEPT / "bfloat16")


def test_a_forged_number_of_a_table_with_all_digests_anew(verified):
    """Its runs give another."""
    table = KEPT / "bfloat16/exhibits/table_s4.csv"
    text = table.read_text()
    number = next(word for word in text.splitlines()[1].split(",") if re.fullmatch(r"\d\d\.\d{3,}", word))
    forged(table, text.replace(number, f"{float(number) + 1}"))
    _, _, faults = verified("bfloat16")
    assert faults == [f"{table} is not what its runs give"]


PICTURE = KEPT / "bfloat16/exhibits/figure_ablations.svg"


def moved(by):
    """The first coordinate, by so many points."""
    return lambda text: re.sub(r'(?<=d="M )\d+\.\d{6}', lambda one: str(Decimal(one[0]) + Decimal(by)), text, count=1)


@pytest.mark.parametrize(
    ("edit", "passes"),
    [
        (lambda text: re.sub(r"Matplotlib v[\w.]*\w", "Matplotlib v3.0.1", text), True),
        (lambda text: text + " ", False),
        (moved("0.000001"), True),
        (moved("0.00001"), False),
    ],
)
def test_pictures_of_this_matplotlib_are_compared_but_for_the_last_place(verified, edit, passes):
    """There processors differ: Intel and AMD drew 32.154687 and 32.154688 points. Another's go by their numbers."""
    forged(PICTURE, text := edit(PICTURE.read_text()))
    status, line, faults = verified("bfloat16")
    assert (status == 0) == passes
    other = "figure_ablations in numbers, its pictures of Matplotlib v3.0.1 as recorded: here is" in line
    assert other == ("Matplotlib v3.0.1" in text)
    assert passes or f"{PICTURE} is not what Matplotlib v" in faults[0]


def test_other_settings_than_planned(verified):
    """A run's fingerprint is that of the plan, or it is named."""
    path = Path("config/presets/bfloat16.yaml")
    path.write_text(path.read_text() + "student: {epochs: 3}\n")
    status, _, faults = verified("bfloat16")
    assert status == 1
    named = f"{SNN} is not what the plan asks for: made with other settings (training.epochs: 10 then, 3"
    assert any(fault.startswith(f"{KEPT}/bfloat16/{named}") for fault in faults)


def test_other_images_than_those_of_the_runs(verified):
    """As prepared here."""
    images, labels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8), np.arange(4)
    contents = arrays.Contents(tuple("abcd"), images, labels, images[::-1].copy(), labels)
    arrays.write(Path("data/cifar10.npz"), "cifar10", "CIFAR-10", contents, True, {"kind": "archive"})
    status, line, faults = verified("verdicts")
    assert status == 1
    runs = len(list((KEPT / "verdicts").glob("*/**/metrics.json")))
    assert line.startswith(f"verdicts: FAILED, {runs} mismatches: ")
    assert f" files as recorded; 0 of {runs} runs as planned" in line
    assert all(fault.endswith("made from other images than data/cifar10.npz holds now") for fault in faults)


@pytest.mark.parametrize("count", [0, 1, None])
def test_labels_are_compared_with_one_another_and_with_prepared_images(project, capsys, count):
    """No kept spiking run, one or all have another label of their first image, all digests anew."""
    reference.export(read())
    kept = KEPT / "tiny"
    for folder in [path.parent for path in sorted(kept.glob("snn/**/predictions.npz"))][:count]:
        content = dict(np.load(folder / "predictions.npz"))
        content["labels"][0] = (content["labels"][0] + 1) % 10
        np.savez(folder / "predictions.npz", **content)
        described(folder)
    reference._record(kept)
    assert main(["verify", "tiny"]) == (0 if count == 0 else 1)
    said = capsys.readouterr().out
    assert "labels of digits as in data/digits.npz" in said
    assert ("/predictions.npz has other labels than other runs have" in said) == (count == 1)
    assert (f"{kept} has other labels of digits than data/digits.npz" in said) == (count != 0)


def test_a_foreign_file(verified):
    """Whatever it is called, also where a run's metrics would lie."""
    paths = [KEPT / "bfloat16" / name for name in ("model.pt.old", "snn/notes/metrics.json")]
    for path in paths:
        files.write_text(path, "{}")
    status, _, faults = verified("bfloat16")
    assert status == 1
    assert faults == [f"{path} is none of the kept files: remove it" for path in paths]


def test_each_exhibit_is_whole_and_nothing_lies_beside_it(verified):
    """With all digests anew: without its JSON file a table was passed over, and so was what is of none."""
    shown = KEPT / "bfloat16/exhibits"
    lacking = [shown / name for name in ("table_s4.json", "runs.csv")]
    for path in lacking:
        path.unlink()
    stray = [shown / name for name in ("mine/table1.md", "notes.json", "table_s4.txt")]
    for path in stray:
        files.write_text(path, "{}")
    reference._record(KEPT / "bfloat16")
    status, _, faults = verified("bfloat16")
    assert status == 1
    assert [fault.split(" ", 1) for fault in faults] == [
        *([str(path), "is missing beside the other files of its exhibit: export it anew"] for path in lacking),
        *([str(path), "is of no exhibit: remove it"] for path in stray),
    ]


def test_half_a_clone_is_one_line(verified):
    """One file that is missing is named; of many the first, and how many."""
    shutil.rmtree(KEPT / "bfloat16/snn")
    status, line, faults = verified("bfloat16")
    assert status == 1
    (fault,) = faults
    more = rf"is missing, and \d+ more, as in half a clone: `git checkout {KEPT}/bfloat16`"
    assert re.fullmatch(rf"{KEPT}/bfloat16/snn/\S+ {more}", fault)
    assert "figure_ablations, runs, table_s4 as recorded: their runs are not here" in line


@pytest.mark.parametrize("word", ["paper", "results/reference/paper", "results/small", "nothing"])
def test_what_keeps_nothing_is_one_line(word, monkeypatch, capsys):
    """With what is kept."""
    monkeypatch.chdir(ROOT)
    kept = sorted(path.name for path in KEPT.iterdir())
    assert main(["verify", word]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"error: {word} keeps no results: in {KEPT} there are some of {', '.join(kept)}" in said


def test_no_kept_results_at_all(clone, capsys):
    (KEPT / "small").unlink()
    shutil.rmtree(KEPT)
    assert main(["verify"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_neither_network_nor_torch(clone):
    """A second process that has neither says the same."""
    code = """
import socket, sys
class Without:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            raise ImportError("there is no torch")
sys.meta_path.insert(0, Without)
socket.socket.connect = socket.getaddrinfo = None
from lasnn.__main__ import main
sys.exit(main(["verify", "bfloat16"]))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.split(": ")[1]) == (0, "verified"), done.stderr


def test_the_list_of_digests_is_one_that_others_read(clone):
    """`sha256sum --check` takes it."""
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum here")
    words = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    assert subprocess.run(words, cwd=KEPT / "verdicts").returncode == 0
    flip(CHECKPOINT)
    assert subprocess.run(words, cwd=KEPT / "verdicts", capture_output=True).returncode == 1
