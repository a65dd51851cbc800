"""A finished run's network in a script: logits, the accuracy of its table, spikes and potentials."""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lasnn.datasets.batches import Images, split
from lasnn.datasets.whole import check_images, check_steps, dataset, ids_of, prepared
from lasnn.errors import InputError
from lasnn.networks import Net, Output
from lasnn.pipeline.remaking import checkpoint_for
from lasnn.plan.own import architecture
from lasnn.plan.project import find
from lasnn.plan.runs import parse
from lasnn.plan.settings import Data, Network, Neuron, Spiking
from lasnn.plan.vocabulary import ENCODERS, known
from lasnn.spiking.conversion import (
    neurons,
    scale_thresholds,
    spiking,
    thresholds,
    with_leaks,
    with_spiking_readout,
)
from lasnn.spiking.encoders import encode, image_noise
from lasnn.spiking.evaluation import BATCH, evaluate
from lasnn.spiking.recording import Recording, record
from lasnn.storage import checkpoint
from lasnn.storage.files import Json
from lasnn.training.task import built, dynamics_of

if TYPE_CHECKING:
    import nir


class Loaded(nn.Module):
    """A trained network with its encoder, T and normalisation.

    `net` is the torch module on [T, B, 3, H, W], `run` names the run, `meta` has its settings. Its images are searched
    near `home`, the run's folder. `ready` is False for a converted run, whose thresholds are scaled before simulation.
    """

    def __init__(self, weights: dict[str, Tensor], meta: Json, home: Path | None = None, ready: bool = False):
        super().__init__()
        self.meta, self.run, self.home = meta, parse(meta["run"]["path"]), home
        self.encoder = getattr(self.run, "encoder", "direct")
        self.steps = getattr(self.run, "steps", meta["settings"].get("curve", {}).get("steps", 1))
        self.gain = meta["settings"].get("encoder", {}).get("gain", 1.0)
        self.ready = ready or self.run.kind != "converted"
        with single_precision():
            self.net = self._built(weights, meta)

    def __repr__(self) -> str:
        """A line on the run, then one for each spiking layer."""
        network, classes = self.run.network_name, self.meta["data"]["classes"]
        head = f"{self.run}: {network}, {classes} classes, images 3 x {self.net.side} x {self.net.side}"
        layers = neurons(self.net)
        if not layers:
            return f"{head}, analog"
        dynamics = next(iter(layers.values())).dynamics
        lines = [f"{head}, {self.encoder} input, T = {self.steps}, {dynamics.order}, {dynamics.reset} reset"]
        width = max(map(len, layers))
        for name, one in layers.items():
            lines.append(f"  {name:{width}}  threshold {one.threshold:<8.4g}  leak {one.dynamics.leak:g}")
        return "\n".join(lines)

    def _built(self, weights: dict[str, Tensor], meta: Json) -> Net:
        network, data = Network.model_validate(meta["settings"]["network"]), meta["data"]
        own = meta["settings"].get("architecture")
        arch = architecture(self.run.network_name, own) if own else self.run.network_name
        net = built(arch, network, data["classes"], data["side"], "standardise.mean" in weights)
        if self.run.kind != "ann":
            neuron, trained = Neuron.model_validate(meta["settings"]["neuron"]), meta["settings"].get("spiking")
            dynamics = dynamics_of(neuron, trained and Spiking.model_validate_json(json.dumps(trained)))
            net = spiking(net, dynamics)
            if any(name.startswith("readout.activation.") for name in weights):
                with_spiking_readout(net, dynamics)
            with_leaks(net, meta["leaks"] if "leaks" in meta else meta.get("leak", 1.0))
        net.load_state_dict(weights)
        return net.eval()

    @property
    def simulated(self) -> Net:
        """The simulated network: `net`, or for a converted run its copy with thresholds s θ, folded blocks."""
        if self.ready:
            return self.net
        settings = self.meta["settings"]
        return scale_thresholds(self.net, settings["curve"]["scales"][0], settings["balancing"]["residual"])

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits; InputError if the dataset's images are not there."""
        return dataset(self.run.dataset, self.home).classes

    def encoded(
        self, images: Tensor, steps: int | None = None, seed: int = 0, index: Sequence[int] | None = None
    ) -> Tensor:
        """Encoder output [T, B, 3, H, W] for images [B, 3, H, W] in [0, 1].

        Noise is keyed by (seed, place in the test set) if `index` gives the places, as in evaluation, else by (seed,
        the image's id). It doesn't depend on the batch. InputError if the images are of another type,
        shape, side, range or number than `index`, or `steps` is no T, or the weights were converted.
        """
        check_images(images, self.net.side)
        steps = check_steps(self.steps if steps is None else steps)
        if (kind := self.net.readout.weight.dtype) != torch.float32:
            raise InputError(f"the network was made {kind}, and it computes in float32: call its .float()")
        with single_precision():
            x = (images.float() * 2 - 1).contiguous(memory_format=torch.channels_last)
            return encode(self.encoder, x, steps, image_noise(seed, keys_of(images, index), x.device), self.gain)

    def observe(
        self, images: Tensor, steps: int | None = None, seed: int = 0, index: Sequence[int] | None = None
    ) -> Output:
        """Run the network on images as `encoded` takes them: features, tapped activations, logits."""
        with single_precision():
            return self.simulated(self.encoded(images, steps, seed, index))

    @torch.no_grad()
    def forward(
        self, images: Tensor, steps: int | None = None, seed: int = 0, index: Sequence[int] | None = None
    ) -> Tensor:
        """Logits [B, K] after T steps; `images`, `seed` and `index` as in `encoded`."""
        check_images(images, self.net.side)
        keys = keys_of(images, index)
        with single_precision():
            parts = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
            return torch.cat([self.observe(images[part], steps, seed, keys[part]).logits for part in parts])

    def record(
        self, images: Tensor, steps: int | None = None, seed: int = 0, index: Sequence[int] | None = None
    ) -> dict[str, Recording]:
        """Spikes and membrane potentials [T, B, ...] of each spiking layer, in order; InputError for an ANN.

        Arguments as in `encoded`; 8 bytes for each neuron, image and step.
        """
        if self.run.kind == "ann":
            raise InputError(
                f"{self.run} is an ANN and has no spikes to record: load a spiking run, at no cost if it is finished "
                f"(`lasnn.runs('snn', '{self.run.network_name}')` lists them), or take `observe(images).stages`"
            )
        with single_precision():
            return record(self.simulated, self.encoded(images, steps, seed, index))

    def evaluate(self, images: str | Images = "test", steps: int | None = None) -> dict[str, float]:
        """Accuracy in percent for each encoder seed; of "test" it is `accuracy_by_seed` of the run's metrics.json.

        "test" are the images that judge the run, "train" its training images; others come from a
        `lasnn.dataset`. An ANN, a converted network and direct input draw nothing, or one seed: `{"0": accuracy}`.
        InputError if the run's images are not there, or are others than it was made from.
        """
        settings = self.meta["settings"]
        device, shown = self.net.readout.weight.device, self._own_images(images) if isinstance(images, str) else images
        shown = Images(shown.pixels.to(device), shown.labels.to(device), shown.ids)
        drawn = self.run.kind == "snn" and ENCODERS[self.encoder].draws
        seeds = settings["evaluation"]["seeds"] if drawn else settings.get("evaluation", {"seeds": [0]})["seeds"][:1]
        steps, rows = check_steps(self.steps if steps is None else steps), settings["compute"]["rows"]
        with single_precision(), threads(settings["compute"]["threads"]):
            net = self.simulated
            found = [evaluate(net, shown, self.encoder, steps, seed=seed, rows=rows, gain=self.gain) for seed in seeds]
        return {str(seed): result.accuracy for seed, result in zip(seeds, found, strict=True)}

    def _own_images(self, name: str) -> Images:
        """The images that the run was trained on or is judged by."""
        known(("train", "test"), name, "images")
        data, settings = self.meta["data"], self.meta["settings"]
        found = prepared(self.run.dataset, self.home)
        if found.digest != data["digest"]:
            raise InputError(
                f"{self.run} was made from the images {data['digest'][:12]}, here are {found.digest[:12]}: "
                f"`snakemake --cores 1 data/{self.run.dataset}.npz` prepares them anew"
            )
        train, test = split(found, Data.model_validate(settings["data"]), torch.device("cpu"))
        if name == "train":
            return train
        return test.first(settings["curve"]["images"]) if self.run.kind == "converted" else test

    def graph(self) -> "nir.NIRGraph":
        """The network in NIR, for other simulators; a converted run's at s = 1. InputError for an ANN."""
        from lasnn.spiking import nir_graph

        if self.run.kind == "ann":
            raise InputError(f"{self.run} is an ANN and has no spikes: export a converted or a spiking run of it")
        net = self.net
        if self.run.kind == "converted":
            net = scale_thresholds(net, 1.0, self.meta["settings"]["balancing"]["residual"])
        return nir_graph.graph_of(net, self.meta)

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold of each spiking layer (none in an ANN); a converted run's are unscaled."""
        return thresholds(self.net)


def keys_of(images: Tensor, index: Sequence[int] | None) -> Sequence[int]:
    """What keys each image's noise: its place, if places are given, else its id. InputError for places of others."""
    if index is None:
        return ids_of(images)
    if len(index) != len(images):
        raise InputError(f"index names {len(index)} places of {len(images)} images: give one place for each image")
    return index


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """As many threads as the run had: another number may round sums of products in another way."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """float32 in the block, also under another default or autocast: the compiled loops take nothing else."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_default_dtype(before)


def load(folder: str | Path) -> Loaded:
    """The network of the run in `folder`, or of a NIR file exported here, on the CPU; `.to("cuda")` moves it.

    A relative path starts in the working folder, else in the project. InputError, with what to type and what it costs,
    if the run was never made or is kept without its checkpoint.
    """
    path = Path(folder)
    if not path.is_absolute() and not path.exists() and (project := find()):
        path = project / path
    if path.suffix == ".nir":
        from lasnn.spiking import nir_graph

        return Loaded(*nir_graph.read(path), home=path.absolute().parent, ready=True)
    file = path if path.suffix == ".pt" else path / "model.pt"
    if not file.exists():
        file = checkpoint_for(file.parent)
    return Loaded(*checkpoint.load(file), home=file.absolute().parent)
