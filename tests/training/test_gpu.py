"""What runs on a GPU alone: the same spikes, losses and gradients as on the CPU, float32 that is float32, equal bytes.

The kernels have tests of their own in tests/spiking; on a machine with a GPU test_stages.py runs its chain there too.
"""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from chains import TINY
from oracle import close, settings_of, small, small_snn
from tiny import write_yaml
from torch.nn import functional as F

from lasnn.datasets.batches import Batch, Images
from lasnn.distillation.attention import VARIANTS, FiringRate
from lasnn.networks import TAPS
from lasnn.networks.recorded import Recorded
from lasnn.plan.config import merged, whole
from lasnn.plan.runs import SnnRun
from lasnn.spiking.encoders import image_noise
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.storage import files
from lasnn.training.device import set_up, tf32
from lasnn.training.loop import Moment, Part
from lasnn.training.stages.student import student_losses

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
GPU = torch.device("cuda")
METHODS = ("hybrid", "kd_label", "lasnn_act", "lasnn_grad", "kd_spike")
PRECISIONS = ("off", "tf32", "bf16")
# Operations without a deterministic form on a GPU, as torch warns of them (docs/runs.md).
NOT_DETERMINISTIC = {"cumsum_cuda_kernel", "kthvalue CUDA"}


@pytest.fixture(autouse=True)
def precision():
    """torch's own defaults before and after each test, whatever a stage has set in this process."""
    for left in (True, False):
        torch.backends.cudnn.allow_tf32 = True
        torch.use_deterministic_algorithms(False)
        if left:
            yield


# ---- numbers ---------------------------------------------------------------------------------------------------------


def product_errors():
    """Of a convolution and of a product of float32, against float64."""
    draws = torch.Generator().manual_seed(0)
    x, w = torch.randn(8, 64, 16, 16, generator=draws), torch.randn(128, 64, 3, 3, generator=draws)
    a, b = torch.randn(256, 512, generator=draws), torch.randn(512, 128, generator=draws)
    x_gpu = x.to(GPU, memory_format=torch.channels_last)
    pairs = [
        (F.conv2d(x_gpu, w.to(GPU), padding=1), F.conv2d(x.double(), w.double(), padding=1)),
        (a.to(GPU) @ b.to(GPU), a.double() @ b.double()),
    ]
    return [((found.cpu().double() - exact).norm() / exact.norm()).item() for found, exact in pairs]


def test_products_of_a_run_are_float32_unless_asked():
    set_up(GPU, settings_of().compute)
    assert max(product_errors()) < 2e-6
    with tf32(True):
        assert 5e-5 < min(product_errors()) < max(product_errors()) < 2e-3
        with tf32(False):  # as the look at the test images between two epochs
            assert max(product_errors()) < 2e-6
    assert max(product_errors()) < 2e-6


def pictures(count=9, side=8):
    """Black and white, x = -1 and 1: with dyadic weights every sum is exact."""
    draws = torch.Generator().manual_seed(5)
    pixels = (torch.randint(0, 256, (count, 3, side, side), generator=draws) > 100) * torch.tensor(255)
    return Images(pixels.to(torch.uint8), torch.arange(count) % 4, torch.arange(count))


def placed(images, device):
    return Images(images.pixels.to(device), images.labels.to(device), images.ids)


@pytest.mark.parametrize("order", ["sync", "delayed", "instant_reset"])
@pytest.mark.parametrize("name", ["conv3fc2", "vgg5", "resnet12"])
def test_evaluation_is_that_of_the_cpu(name, order):
    images = pictures()
    expected = evaluate(small_snn(name, Dynamics(order=order)), images, "direct", 12, grid=[3, 12])
    net = small_snn(name, Dynamics(order=order)).to(GPU)
    for rows in (1, 40, 512):
        found = evaluate(net, placed(images, GPU), "direct", 12, rows=rows, grid=[3, 12])
        assert np.array_equal(found.logits, expected.logits)
        assert np.array_equal(found.predicted, expected.predicted)
        assert np.array_equal(found.accuracy_by_step, expected.accuracy_by_step)
        assert found.spikes == expected.spikes
        assert sum(layer.total for layer in found.spikes.values()) > 0


def test_rows_and_batches_change_no_poisson_spike():
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (9, 3, 8, 8), generator=draws, dtype=torch.uint8)
    images = placed(Images(pixels, torch.arange(9) % 4, torch.arange(9)), GPU)
    net = small_snn("resnet12").to(GPU)
    expected = evaluate(net, images, "poisson", 14)
    for rows in (1, 2, 40):
        found = evaluate(net, images, "poisson", 14, rows=rows)
        assert np.array_equal(found.logits, expected.logits)
        assert found.spikes == expected.spikes
    tail = Images(images.pixels[4:], images.labels[4:], images.ids[4:])
    assert np.array_equal(evaluate(net, tail, "poisson", 14, first=4).logits, expected.logits[4:])
    noise = image_noise(0, range(3), GPU)(5, torch.Size([3, 3, 8, 8]))
    assert noise.device.type == "cuda"
    assert not torch.equal(noise[:, 0], noise[:, 1])


def losses_and_gradients(method, amp, device, encoder="direct"):
    """One batch of a training, with dyadic weights, so that no precision rounds a current: CPU and GPU spike alike."""
    settings = settings_of(
        method, encoder, **({"spike_kd": {"window": 2, "stride": 1}} if method == "kd_spike" else {})
    )
    settings = settings.model_copy(update={"compute": settings.compute.model_copy(update={"amp": amp})})
    readout = method == "kd_spike"
    net = small_snn("vgg5", dropout_scale=0.0, spiking_readout=readout).to(device).train()
    teacher = None
    if readout:
        teacher = small_snn("vgg9", spiking_readout=True).to(device).requires_grad_(False)
    elif method != "hybrid":
        teacher = small("vgg16bn").to(device).requires_grad_(False)  # not dyadic: equal maxima have no one gradient
    net.taps = {}
    if settings.attention:
        for network in (net, teacher):
            network.taps = TAPS[settings.attention.taps](network.sides, network.side)
    run = SnnRun("digits", "vgg5", method, encoder, 12, "none")
    images = placed(pictures(), device)
    batch = Batch((images.pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last), images.labels)
    torch.backends.cudnn.allow_tf32 = False
    with tf32(amp != "off"):
        terms = student_losses(net, teacher, run, settings, "mean")(Part(batch, 0, len(batch)), Moment(0, 0, 0, 0.0))
        sum(terms.values()).backward()
    return {k: v.item() for k, v in terms.items()}, [weight.grad.cpu() for weight in net.parameters()]


@pytest.mark.parametrize("amp", PRECISIONS)
@pytest.mark.parametrize("method", METHODS)
def test_losses_and_gradients_are_those_of_the_cpu(method, amp):
    """The spikes of a neuron are exact in every precision; its pseudo-derivative is kept in bfloat16 on a GPU."""
    expected, exact = losses_and_gradients(method, "off", "cpu")
    found, gradients = losses_and_gradients(method, amp, "cuda")
    assert found.keys() == expected.keys()
    tolerance = {"off": 1e-4, "tf32": 3e-3, "bf16": 2e-2}[amp]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=tolerance), name
    for gradient, true in zip(gradients, exact, strict=True):
        assert gradient.dtype == torch.float32
        assert close(gradient, true, 2e-2 if amp == "off" else 6e-2)


@pytest.mark.parametrize("method", VARIANTS)
def test_bf16_rounds_no_map_of_the_student(method):
    """Rates are means over steps: they are taken in float32 also where spikes are kept in bfloat16.

    The teacher's products are in TF32 either way.
    """
    terms = [losses_and_gradients(method, amp, "cuda")[0]["attention"] for amp in ("tf32", "bf16")]
    assert terms[1] == pytest.approx(terms[0], rel=1e-4)


def test_a_recorded_teacher_says_what_the_teacher_says():
    """Also of other images, of another number of them, and in another precision."""
    teacher = small("vgg16bn", side=16).to(GPU).requires_grad_(False)
    recorded, draws = Recorded(teacher), torch.Generator().manual_seed(0)
    for images, wanted in ((4, False), (4, False), (3, False), (4, True), (4, False)):
        x = torch.randn(1, images, 3, 16, 16, generator=draws).to(GPU)
        with tf32(wanted), torch.no_grad():
            expected, found = teacher(x), recorded(x)
            assert close(found.logits, expected.logits, 1e-5)
            for level, stage in expected.stages.items():
                assert close(found.stages[level], stage, 1e-5)
    assert len(recorded.recordings) == 3
    x.requires_grad_()
    assert recorded(x).logits.requires_grad  # gradient maps need a graph of the other kind


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_firing_rates_of_any_layout(dtype):
    spikes = (torch.rand(50, 2, 8, 4, 6, generator=torch.Generator().manual_seed(0)) < 0.3).to(GPU, dtype)
    expected = spikes.float().mean(0)
    last = spikes.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    for laid_out in (spikes, last):
        leaf = laid_out.clone(memory_format=torch.preserve_format).requires_grad_()
        rate = FiringRate.apply(leaf)
        assert rate.dtype == torch.float32
        assert close(rate, expected, 1e-6)
        rate.sum().backward()
        assert leaf.grad.dtype == dtype
        assert close(leaf.grad, torch.full_like(spikes, 1 / 50), 2**-8)


# ---- the chain -------------------------------------------------------------------------------------------------------

CHAIN = {
    "ann": ("ann/digits/vgg5/base/s0", "ann/digits/vgg16bn/base/s0", "ann/digits/vgg16bn/tf32/s0"),
    "converted": ("converted/digits/vgg5/poisson/base/s0",),
    "snn": (
        "snn/digits/vgg5/hybrid/poisson-T6/none/base/s0",
        "snn/digits/vgg5/kd_label/poisson-T6/vgg16bn/base/s0",
        "snn/digits/vgg5/lasnn_act/poisson-T6/vgg16bn/base/s0",
        "snn/digits/vgg5/lasnn_grad/poisson-T6/vgg16bn/base/s0",
        "snn/digits/vgg5/kd_spike/poisson-T6/none/base/s0",
        "snn/digits/vgg5/calibration/direct-T4/none/base/s0",
        "snn/digits/vgg5/lasnn_act/poisson-T6/vgg16bn/bf16/s0",
    ),
}
PRECISE = {"tf32": {"compute": {"amp": "tf32"}}, "bf16": {"for": {"lasnn_act": {"compute": {"amp": "bf16"}}}}}
OVERLAY = merged(TINY, {"variants": PRECISE})
MAIN = "import sys\nfrom lasnn.__main__ import main\nfor words in sys.argv[1:]: assert main(words.split()) == 0, words"


def start(folder):
    """A process that makes the chain in `folder` as a user's commands do."""
    folder.mkdir()
    content = merged(whole(), OVERLAY)
    content |= {"device": "cuda", "folders": {"results": str(folder / "results"), "data": str(folder / "data")}}
    write_yaml(folder / "config.yaml", content)
    verbs = [
        "data digits",
        *(f"{kind} {folder}/results/quick/{path}" for kind, paths in CHAIN.items() for path in paths),
    ]
    command = [sys.executable, "-c", MAIN, *(f"{verb} --config {folder}/config.yaml" for verb in verbs)]
    environment = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_the_chain_gives_the_same_bytes_twice(tmp_path):
    processes = {name: start(tmp_path / name) for name in ("first", "second")}
    for process in processes.values():
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said[-3000:]
        warned = set(re.findall(r"(\w[\w ]*?) does not have a deterministic implementation", said))
        assert warned <= NOT_DETERMINISTIC, warned
    for path in (path for paths in CHAIN.values() for path in paths):
        first, second = (tmp_path / name / "results/quick" / path for name in processes)
        for name in ("model.pt", "metrics.json", "predictions.npz"):
            assert files.sha256(first / name) == files.sha256(second / name), (path, name)
        origin = json.loads((first / "provenance.json").read_text())
        assert origin["device_type"] == "cuda"
        assert origin["device"] == torch.cuda.get_device_name()
        assert origin["peak_device_memory_bytes"] > 0
        assert 0 <= json.loads((first / "metrics.json").read_text())["accuracy"] <= 100


def test_the_benchmarks_run_on_a_gpu(tmp_path):
    pytest.importorskip("torchvision")
    words = "-m benchmarks --what training memory distillation --amp off tf32 bf16 --device cuda --networks vgg5"
    small = "--steps 4 --batch 4 --images 8 --rounds 1 --threads 1 --width 0.125"
    more = f"{small} --implementations ours floor --out {tmp_path}"
    done = subprocess.run(
        [sys.executable, *words.split(), *more.split()], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    import pandas as pd

    rows = pd.read_csv(tmp_path / "distillation.csv")
    assert rows["amp"].tolist() == list(PRECISIONS)
    assert (rows["device_peak_mb"] > 0).all()
    assert (rows["hardware"] == torch.cuda.get_device_name()).all()
    assert (pd.read_csv(tmp_path / "memory.csv")["device_peak_mb"] > 0).all()
    rows = pd.read_csv(tmp_path / "training.csv")
    assert set(zip(rows["implementation"], rows["amp"], strict=True)) == {
        (name, amp) for name in ("ours", "floor") for amp in PRECISIONS
    }
