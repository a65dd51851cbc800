"""docs/models.md: its network, trained by its script, adopted, converted, trained, exported, diagnosed, listed."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from tiny import LEAST, in_process, python, write_yaml

from lasnn.plan.config import merged, whole

PAGE = Path("docs/models.md").read_text()
SCRIPT = Path("docs/examples/train_elsewhere.py").read_text()
MYNET = yaml.safe_load(re.search(r"```yaml\n(architectures:.*?)```", PAGE, re.DOTALL)[1])
COMMANDS = re.findall(r"^python -m lasnn ((?:adopt|export-nir|diagnose|runs).*)$", PAGE, re.MULTILINE)
FEW = LEAST | {
    "data": {"train_images": 200, "test_images": 100, "held_out": 60},
    "curve": {"steps": 40, "grid": [10, 40], "scales": [1.0], "images": 40},
    "choices": {"images": 40},
}
ANN, CONVERTED = "results/quick/ann/digits/mynet/base/s0", "results/quick/converted/digits/mynet/poisson/base/s0"
HYBRID = "results/quick/snn/digits/mynet/hybrid/poisson-T10/none/base/s0"


def lasnn(folder, *words, status=0):
    with contextlib.chdir(folder):
        found, said = in_process(words)
    assert found == status, said
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the page's network was trained elsewhere and taken up."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree("lasnn", folder / "lasnn", ignore=shutil.ignore_patterns("__pycache__"))
    content = whole() | MYNET
    content["presets"]["quick"] = merged(content["presets"]["quick"], FEW)
    write_yaml(folder / "config.yaml", content)
    lasnn(folder, "data", "digits")
    (folder / "train_elsewhere.py").write_text(SCRIPT.replace("range(5)", "range(2)"))
    said = python(folder, "train_elsewhere.py")
    words = next(line for line in COMMANDS if line.startswith("adopt")).split()
    # The script judges by all test images, this preset by the first 100; without a word on it the file is refused.
    asked = lasnn(folder, *words[: words.index("--expect")], status=2)
    (measured,) = re.findall(r"which pools the network has, .* add --expect (\S+)$", asked.strip())
    assert not (folder / ANN).exists()
    assert "batch norm folded in c1, c2, c3, c4" in lasnn(folder, *words[:-1], measured)
    metrics = json.loads((folder / ANN / "metrics.json").read_text())
    assert abs(metrics["accuracy"] - float(said.split()[0])) < 5
    assert metrics["settings"]["training"] is None
    made = json.loads((folder / ANN / "provenance.json").read_text())["adopted"]
    assert made["file"] == "mynet.pt"
    assert made["sha256"] in (folder / "adopted.yaml").read_text()
    assert "adopted, not trained here: mynet.pt" in lasnn(folder, "trace", ANN, "--verify")
    return folder


def test_the_chain_goes_on_from_it(folder):
    lasnn(folder, "converted", CONVERTED)
    lasnn(folder, "snn", HYBRID)
    lasnn(folder, "snn", HYBRID.replace("hybrid/poisson-T10", "calibration/direct-T8"))
    weights = torch.load(folder / HYBRID / "model.pt", weights_only=True)["weights"]
    assert "layers.c1.activation.offset" in weights
    assert "readout.bias" in weights
    told = lasnn(folder, "export-nir", HYBRID, "mynet.nir")
    assert "reset by subtraction" in told
    code = f"""
import lasnn, torch
one, other = lasnn.load("{HYBRID}"), lasnn.load("mynet.nir")
x = torch.rand(4, 3, 16, 16)
assert torch.equal(one(x), other(x)) and one(x).any()
"""
    python(folder, "-c", code)
    found = json.loads(lasnn(folder, "diagnose", CONVERTED, "--steps", "5", "--images", "30", "--json"))
    assert found["steps"] == 5
    assert [layer["name"] for layer in found["layers"]] == ["c1", "c2", "c3", "c4"]
    runs = json.loads(lasnn(folder, "runs", "mynet", "--json"))
    assert [one["state"] for one in runs] == ["as planned"] * 4
    for one in runs:
        assert one["scores"] == json.loads((folder / "results/quick" / one["run"] / "scores.json").read_text())


def test_what_cannot_be_done_is_said_and_leaves_nothing(folder):
    """Adopting what is another network or there already; an ANN has no spikes to export or diagnose."""
    before = sorted(path for path in folder.rglob("*") if "pycache" not in str(path))
    adopt = ["adopt", "mynet", "--dataset", "digits", "--weights", "mynet.pt"]
    for words, told in (
        ([*adopt, "--seed", "1", "--expect", "12"], "the network is another"),
        ([*adopt, "--seed", "1", "--mean", "0", "0", "0"], "--mean and --std go together"),
        (adopt, "holds a finished run already"),
        (["export-nir", ANN, "x.nir"], "has no spikes"),
        (["diagnose", ANN], "has no spikes"),
        (["diagnose", HYBRID.replace("hybrid", "conversion")], "no checkpoint"),
        (["export-nir", HYBRID, "x.h5"], "ends in .nir"),
    ):
        assert told in lasnn(folder, *words, status=2)
    assert sorted(path for path in folder.rglob("*") if "pycache" not in str(path)) == before
