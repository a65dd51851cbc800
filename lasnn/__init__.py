"""LaSNN: layer-wise ANN-to-SNN distillation, from images to tables.

    net = lasnn.load("results/quick/snn/digits/vgg5/hybrid/poisson-T10/none/base/s0")  # a finished run
    images, labels = lasnn.dataset("digits").test[:8]
    net(images).argmax(1)               # classes after T steps
    net.evaluate("test")                # its table's accuracy, for each encoder seed
    lasnn.raster(net.record(images))    # spikes of all layers

torch and matplotlib are loaded on first use.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from lasnn.errors import InputError

__version__ = "0.1.0"

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from lasnn.datasets.whole import Dataset
    from lasnn.loading import Loaded
    from lasnn.pipeline.listing import Runs
    from lasnn.spiking.recording import Recording


def load(folder: "str | Path") -> "Loaded":
    """The network in `folder` (results/<preset>/<run>): call it with images [B, 3, H, W] in [0, 1] for its logits."""
    _check_torch()
    from lasnn.loading import load as load_network

    return load_network(folder)


def dataset(name: str) -> "Dataset":
    """A prepared dataset: `train[:8]` and `test[:8]` are images [8, 3, H, W] in [0, 1] and labels [8]."""
    _check_torch()
    from lasnn.datasets.whole import dataset as whole

    return whole(name)


def runs(*words: str) -> "Runs":
    """Finished and kept runs whose paths hold all `words` ("digits", "vgg5"), each with `folder` and `accuracy`.

    It prints as a table. Kept runs are those of results/reference/.
    """
    from lasnn.pipeline.listing import Runs, finished, kept
    from lasnn.plan.project import inside

    with inside() as config:
        return Runs([*finished(config, None, list(words)), *kept(config, list(words))])


def raster(recordings: "Mapping[str, Recording]", image: int = 0, neurons: int = 60) -> "Figure":
    """Spikes of one image over time, a panel for each layer, of at most `neurons` evenly chosen neurons of each."""
    from lasnn.report.activity import raster as draw

    return draw(recordings, image, neurons)


def rates(recordings: "Mapping[str, Recording]") -> "Figure":
    """Firing rate of each layer over time: spikes of a neuron in a step, the mean over neurons and images."""
    from lasnn.report.activity import rates as draw

    return draw(recordings)


def _check_torch() -> None:
    if find_spec("torch") is None:
        raise InputError(
            "torch is not installed: `pip install torch==2.15.0 torchvision==0.29.2` (5 GB with "
            "CUDA); it comes apart from lasnn, so that either build can take its place"
        )
