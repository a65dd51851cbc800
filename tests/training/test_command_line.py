"""The command line: one line for what it cannot use, and nothing left; what a plan and a log say."""

import json
import re
import signal
import subprocess
import sys

import pytest
import torch
from chains import ANN, CONVERTED, LASNN, Tiny

from lasnn.__main__ import main, parser
from lasnn.console import Console
from lasnn.storage import files
from lasnn.training import device


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["snn", "{}/quick/snn/digits/vgg5/calibration/poisson-T6/none/base/s0"], "takes direct input only"),
        (["snn", "{}/quick/snn/digits/vgg5/calibration/direct-T6/vgg16bn/base/s0"], "needs no teacher (none)"),
        (["snn", "{}/quick/snn/digits/vgg5/kd_label/poisson-T6/snn_vgg9/base/s0"], "needs a teacher (densenet121"),
        (["snn", "{}/quick/snn/digits/vgg5/kd_spike/poisson-T6/vgg16bn/base/s0"], "follows scope.spike_chain: vgg5"),
        (["snn", "{}/quick/snn/digits/vgg9/kd_spike/poisson-T6/none/base/s0"], "follows scope.spike_chain: vgg5"),
        (["snn", "{}/quick/snn/digits/vgg5/kd_spike/poisson-T3/none/base/s0"], "spike_kd.window is 4, but"),
        (["snn", "{}/quick/" + LASNN], "which is missing: `snakemake --cores 1 "),
        (["ann", "{}/quick/" + LASNN], "use `python -m lasnn snn`"),
        (["ann", "{}/quick/" + ANN, "--settings", "{{}}"], "--settings: key 'revision' is missing"),
        (["ann", "{}/quick/" + ANN, "--settings", "not json"], "--settings"),
        (["ann", "nowhere"], "not the folder of a run"),
        (["data", "mnist"], "unknown dataset 'mnist'"),
        (["exhibit", "{}/quick/exhibits/table2.pdf"], "unknown ending"),
        (["exhibit", "{}/quick/exhibits/table2.csv"], "metrics.json` makes it"),
        (["plan", "tabels"], "unknown target 'tabels'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(place, capsys, monkeypatch, words, message):
    monkeypatch.setattr(Console, "INTERVAL", 1e6)  # on a busy machine a verb would say that it is at work
    assert place(*[word.format(place.results) for word in words]) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert "error: " in said
    assert message in said
    assert not [path for path in place.results.rglob("*") if path.is_file()]


@pytest.mark.parametrize("word", ["nan", "inf", "-Infinity", "1e999", "1e39", "1e-50", "x", ""])
@pytest.mark.parametrize("option", ["--mean", "--std", "--expect"])
def test_a_number_is_one_that_weights_can_hold(option, word, capsys):
    """NaN compares with nothing, so that no later check would see it."""
    words = [option, word] if option == "--expect" else [option, word, word, word]
    with pytest.raises(SystemExit) as end:
        parser().parse_args(["adopt", "vgg5", "--weights", "x.pt", "--dataset", "digits", *words])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: argument {option}: ")


def test_out_of_memory_says_which_knob_to_turn(place, capsys, monkeypatch):
    from lasnn.training.stages import ann

    def greedy(net):
        torch.empty(1 << 50)  # a petabyte: torch's own error, from its own allocator

    monkeypatch.setattr(ann, "census", greedy)
    assert place("ann", str(place.folder(ANN))) == 3
    said = capsys.readouterr().err
    assert "out of memory" in said
    assert "compute.micro_batch" in said
    assert (place.folder(ANN) / "resume.pt").exists()  # all three epochs


NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.mark.parametrize(
    ("amp", "where", "lacks"),
    [
        ("tf32", "cpu", ["compute.amp tf32", "CUDA"]),
        ("bf16", "cpu", ["compute.amp bf16", "no bfloat16"]),
        ("bf16_grad", "cpu", ["compute.amp bf16_grad", "no bfloat16"]),
        pytest.param("off", "cuda", ["no CUDA device"], marks=NO_CUDA),
    ],
)
def test_what_a_device_lacks(amp, where, lacks, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(device, "bfloat16", lambda: False)
    place = Tiny(data, tmp_path, protocol={"compute": {"amp": amp}})
    assert place("ann", str(place.folder(ANN)), "--device", where) == 2
    said = capsys.readouterr().err
    assert all(words in said for words in lacks)


def test_an_unknown_commit_is_the_last_line_of_a_run(place, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("lasnn.storage.commit.FOLDER", tmp_path)
    place.run(ANN)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "warning: no result names its code's commit (fatal: not a git repository" in last
    made = json.loads((place.folder(ANN) / "provenance.json").read_text())
    assert made["code"]["commit"] is None
    assert made["code"]["unknown"] in last


def test_a_damaged_parent_and_missing_images_are_refused_by_name(chain, place, tmp_path, capsys):
    place.take(chain, ANN)
    model = place.folder(ANN) / "model.pt"
    model.write_bytes(model.read_bytes()[:-2000])
    capsys.readouterr()
    assert place("converted", str(place.folder(CONVERTED))) == 2
    assert str(model) in capsys.readouterr().err
    (tmp_path / "bare").mkdir()
    bare = Tiny(tmp_path / "no_data", tmp_path / "bare")
    assert bare("ann", str(bare.folder(ANN))) == 2
    assert "python -m lasnn data digits" in capsys.readouterr().err


@pytest.fixture
def brief(monkeypatch):
    """Each timed call once, on as few images as a thousand million multiply-adds take."""
    monkeypatch.setattr("lasnn.training.estimate.SECONDS", 0.001)
    monkeypatch.setattr("lasnn.training.estimate.LARGEST", 1e9)


def test_the_plan_counts_and_estimates(place, capsys, brief):
    assert place("plan", "tables", "--gpus", "2", "--save") == 0
    said = capsys.readouterr().out
    assert re.search(r" (\d+) runs, \1 of them to do", said)
    asked = "all, one after another", "2 at once", "no less, with any number", "exhibits", "Snakemake and DVC"
    (one,), (two,), (least,), (exhibits,), (around,) = (
        [float(minutes) for minutes in re.findall(rf"{words} +([\d.]+) min", said)] for words in asked
    )
    assert least <= two <= one
    assert min(exhibits, around) > 0
    saved = json.loads((place.results / "quick" / "plan.json").read_text())["seconds"]
    assert sum(saved.values()) / 60 == pytest.approx(one - exhibits - around, abs=0.15)
    assert "snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/base/s0" in saved
    assert place("plan", "tables", "--gpus", "0") == 2
    assert "error: 0 jobs at once were asked for" in capsys.readouterr().err


def test_the_plan_takes_the_seconds_of_finished_runs(chain, place, brief):
    """600 s of this device, whatever a timed call takes; not those of another device or of other settings."""
    place.take(chain, ANN)
    path, saved = place.folder(ANN) / "provenance.json", place.results / "quick" / "plan.json"
    made = files.read_json(path)

    def planned(**said):
        files.write_json(path, made | said, seal=True)
        assert place("plan", "table2", "--save") == 0
        return json.loads(saved.read_text())["seconds"][ANN]

    assert planned(seconds=600) == planned(seconds=5, training_seconds=600) == 603.7
    assert planned(seconds=600, device="another") < 60
    assert planned(seconds=600, settings=made["settings"] | {"revision": 0}) < 60


@pytest.mark.parametrize(
    "words", [["plan", "all", "--quick"], ["runs"], ["trace", "results/quick/" + ANN], ["data", "nothing"]]
)
def test_a_verb_that_takes_long_shows_that_it_is_at_work(words, capsys, monkeypatch, brief):
    monkeypatch.setattr(Console, "INTERVAL", 0.001)
    main(words)
    assert re.search(rf"^{words[0]} is at work, \d+ s until now$", capsys.readouterr().err, re.MULTILINE)


def test_a_reader_that_has_seen_enough_ends_the_command_silently():
    """`python -m lasnn trace ... | head -1`: the rest of the lines finds no reader."""
    command = [sys.executable, "-m", "lasnn", "trace", "results/reference/small/ann/cifar10/vgg5/base/s0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 128 + signal.SIGPIPE)
