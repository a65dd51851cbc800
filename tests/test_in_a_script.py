"""lasnn in a script: found from anywhere, images as tensors, runs as a table, and what is missing in one line."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch
from tiny import message_of, python
from torch.utils.data import DataLoader

import lasnn
from lasnn.pipeline import reference
from lasnn.plan import project
from lasnn.plan.config import read
from lasnn.plan.runs import parse

ROOT = Path.cwd()
KEPT = Path("results/reference/small")
ANN, LASNN = "ann/cifar10/vgg5/base/s0", "snn/cifar10/vgg5/lasnn_act/poisson-T16/vgg16bn/base/s0"


def test_a_kept_network_is_loaded_where_it_lies(monkeypatch, tmp_path):
    """By its path below the project, from any folder; of an ANN that another preset keeps, its checkpoint is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "PACKAGE", ROOT)
    net = lasnn.load(KEPT / ANN)
    assert net.run == parse(ANN)
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    other = lasnn.load("results/reference/few_steps/" + ANN)
    assert not (ROOT / "results/reference/few_steps" / ANN / "model.pt").exists()
    assert all(torch.equal(one, two) for one, two in zip(net.parameters(), other.parameters(), strict=True))


def test_what_is_missing_says_what_to_type_and_what_that_takes(tmp_path, monkeypatch):
    """Images, and a kept run's checkpoint: its own training and its teacher's, minutes from their provenance."""
    for name in ("config.yaml", "config", "lasnn", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)  # without any images
    runs = (LASNN, "ann/cifar10/vgg16bn/base/s0", "converted/cifar10/vgg5/poisson/base/s0")
    minutes = sum(json.loads((KEPT / run / "provenance.json").read_text())["seconds"] for run in runs) / 60
    line = message_of(lasnn.load, KEPT / LASNN)
    assert line.startswith(f"{KEPT / LASNN} is kept without its checkpoint: `python -m lasnn data cifar10 && ")
    assert f"&& python -m lasnn import --preset small && snakemake --cores 1 results/small/{LASNN}/model.pt`" in line
    assert "makes it: 3 runs to make, 2 of them trained, 40 epochs in all" in line
    assert f"which took {minutes:.0f} min on AMD EPYC; of its images: it fetches 170 MB" in line
    line = message_of(lasnn.dataset, "cifar10")
    start = f"no images of cifar10 in {tmp_path}/data/cifar10.npz: `python -m lasnn data cifar10`, typed"
    assert line.startswith(start)
    assert "it fetches 170 MB (none, if `mirror` in config.yaml names a copy) and writes 184 MB" in line
    assert "did you mean 'cifar10'" in message_of(lasnn.dataset, "cifr10")
    assert len(lasnn.dataset("digits").test) == 360  # embedded: no file, no connection
    assert not list(tmp_path.glob("data/*"))


def test_a_run_that_was_never_made_says_the_same():
    made = "snn/digits/vgg9/hybrid/poisson-T3/none/base/s7"
    line = message_of(lasnn.load, f"results/tuning/{made}")
    assert line.startswith("no checkpoint in ")
    assert f"snakemake --cores 1 results/tuning/{made}/model.pt`" in line
    assert "3 runs to make, 2 of them trained, " in line
    assert "is not the folder of a run: expected results/<preset>/<run>" in message_of(lasnn.load, "nowhere")


def test_the_samples_are_planned_spiking_networks_from_which_nothing_starts():
    for name, runs in reference.SAMPLES.items():
        preset = read().preset(name)
        assert all(reference.is_leaf(preset, parse(run)) for run in runs)
        assert all((reference.folder_of(preset) / run / "metrics.json").exists() for run in runs)
        assert len(runs) == 3


def test_digits_are_images_in_0_to_1_with_labels_of_their_classes():
    """The first training image has the pixels, over 255, of the first one of the canonical order."""
    digits = lasnn.dataset("digits")
    assert repr(digits) == "Digits: 1,437 training and 360 test images, 16 x 16 pixels, 10 classes"
    images, labels = digits.test[:8]
    assert (images.shape, images.dtype, labels.shape) == ((8, 3, 16, 16), torch.float32, (8,))
    assert torch.equal((images * 255).round().to(torch.uint8), digits.test.pixels[:8])
    assert (images.min(), images.max()) == (0, 1)
    one, label = digits.train[3]
    assert (one.shape, int(label) in range(10)) == ((3, 16, 16), True)
    batch, _ = next(iter(DataLoader(digits.train, batch_size=5)))
    assert torch.equal(batch, digits.train[:5][0])
    assert len(list(DataLoader(digits.test, batch_size=100))) == 4


def test_runs_have_folders_that_load_and_print_as_a_table():
    """And are a frame that says what their metrics say."""
    found, folder = lasnn.runs("vgg5", "cifar10"), (KEPT / ANN).as_posix()
    metrics, made = (json.loads((KEPT / ANN / name).read_text()) for name in ("metrics.json", "provenance.json"))
    (ann,) = [one for one in found if one.folder == folder]
    assert (ann.accuracy, ann.preset, ann.state) == (metrics["accuracy"], "small", "kept")
    assert lasnn.load(ann.folder).run == parse(ANN)
    (lasnn_act,) = [one for one in found if one.folder == (KEPT / LASNN).as_posix()]
    assert lasnn_act.state.startswith("kept")
    assert all("/vgg5/" in one.folder for one in found)
    (line,) = [line for line in repr(found).splitlines() if line.startswith(folder + " ")]
    assert line.split()[1:] == [f"{ann.accuracy:.2f}", "%", "-", "-", "kept"]
    assert lasnn.runs("no_such_word") == []
    anns = lasnn.runs("vgg5", "ann")
    line = anns.frame("run", "accuracy", "peak_gigabytes").set_index("folder").loc[folder]
    assert (line["run"], line["accuracy"], line["preset"]) == (ANN, metrics["accuracy"], "small")
    assert line["peak_gigabytes"] == made["peak_memory_bytes"] / 1e9
    assert "no run of these" in message_of(anns.frame, "teacher_accuracy")  # an ANN has no teacher
    assert "did you mean 'accuracy'" in message_of(anns.frame, "acuracy")


def test_the_frame_of_an_ann_that_is_kept_under_another_preset():
    """Its training log lies there: bfloat16 has the students' ANNs of small."""
    found = lasnn.runs("vgg5", "ann")
    lines = found.frame("run", "epochs", "epoch_minutes").set_index(["preset", "run"])
    log = [json.loads(line) for line in (KEPT / ANN / "log.jsonl").read_text().splitlines()]
    minutes = sum(line["seconds"] for line in log) / len(log) / 60
    assert not (KEPT.parent / "bfloat16" / ANN / "log.jsonl").exists()
    assert lines.loc[("bfloat16", ANN)].tolist()[:2] == [len(log), pytest.approx(minutes)]


def test_a_slice_of_runs_is_a_list_of_runs():
    found = lasnn.runs("vgg5", "ann")
    part = found[:2]
    assert part.frame("run")["run"].tolist() == [one.run for one in found][:2]
    assert len(repr(part).splitlines()) == 3  # a head and two lines


def test_a_raster_has_a_dot_for_each_spike_and_rates_are_means():
    """Two layers over T = 3: spikes at steps 1 and 3 of image 1; rates over both images by hand."""
    spikes = torch.zeros(3, 2, 4)
    spikes[0, 1, 2] = spikes[2, 1, 2] = spikes[2, 0, 0] = 1
    from lasnn.spiking.recording import Recording

    recorded = {"f1": Recording(spikes, spikes, 1.0), "f2": Recording(torch.ones(3, 2, 100), spikes, 1.0)}
    first, second = lasnn.raster(recorded, image=1, neurons=10).axes
    assert first.collections[0].get_offsets().tolist() == [[1, 2], [3, 2]]
    assert len(second.collections[0].get_offsets()) == 30
    assert second.get_ylabel() == "f2\n10 of 100"
    one, other = lasnn.rates(recorded).axes[0].lines
    assert one.get_ydata().tolist() == [1 / 8, 0, 2 / 8]
    assert other.get_ydata().tolist() == [1, 1, 1]
    assert "image 2 was asked for, 2 were recorded" in message_of(lasnn.raster, recorded, 2)
    assert "nothing to draw" in message_of(lasnn.rates, {})


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What `pip install .` puts into an environment: the package without its project, built as pyproject.toml says."""
    uv = shutil.which("uv") or pytest.skip("needs uv, whose own backend builds the package")
    place = tmp_path_factory.mktemp("installed")
    source = place / "source"
    shutil.copytree(ROOT / "lasnn", source / "lasnn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [uv, "build", "--offline", "--wheel", "--quiet", "--out-dir", place, source]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = place.glob("*.whl")
    shutil.unpack_archive(wheel, place / "site", "zip")
    return place


def in_a_script(installed, code):
    """Standard output of a script that sees the installed package alone, in a folder without a project."""
    return python(installed, "-c", f"import sys; sys.path.insert(0, {str(installed / 'site')!r})\n{code}")


def test_every_file_of_the_package_is_installed(installed):
    ours = {path.relative_to(ROOT) for path in (ROOT / "lasnn").rglob("*") if path.is_file()}
    ours = {path for path in ours if "__pycache__" not in path.parts}
    assert {path.relative_to(installed / "site") for path in (installed / "site/lasnn").rglob("*.*")} >= ours
    assert Path("lasnn/report/paper.csv") in ours


def test_an_installed_package_needs_no_project_but_for_its_runs(installed):
    """Digits come from scikit-learn, the paper's numbers with the package; else one line says what is missing."""
    code = """
import lasnn
from lasnn.plan.cells import paper_cells
print(lasnn.__file__, lasnn.__version__, len(paper_cells()) > 100, len(lasnn.dataset("digits").train))
for call in (lambda: lasnn.dataset("cifar10"), lasnn.runs, lambda: lasnn.load("results/quick/ann/digits/vgg5/base/s0")):
    try:
        call()
    except lasnn.InputError as error:
        print(error)
"""
    first, *others = in_a_script(installed, code).splitlines()
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    assert first == f"{installed / 'site' / 'lasnn' / '__init__.py'} {version} True 1437"
    assert len(others) == 3
    for line in others:
        assert line.startswith(f"no config.yaml in {installed} or above it, and this lasnn came without its project")


def test_without_torch_one_line_says_how_to_get_it(installed):
    code = """
sys.modules["torch"] = None
import lasnn
try:
    lasnn.load("results/quick/ann/digits/vgg5/base/s0")
except lasnn.InputError as error:
    print(error)
"""
    assert in_a_script(installed, code).startswith("torch is not installed: `pip install torch==")
