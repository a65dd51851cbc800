"""A finished run's network for use in a script."""

import contextlib
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks import Net, Output, build
from lasnn.networks.quantised import quantise
from lasnn.plan.own import architecture
from lasnn.plan.runs import parse
from lasnn.seeding import generator
from lasnn.spiking.conversion import scale_thresholds, spiking, thresholds, with_dynamics, with_spiking_readout
from lasnn.spiking.encoders import batch_noise, encode
from lasnn.spiking.neurons import Dynamics
from lasnn.storage import checkpoint
from lasnn.storage.files import Json

if TYPE_CHECKING:
    import nir


class Loaded(nn.Module):
    """A trained network with what it takes to feed it: its encoder, its T, its normalisation.

    `net` is the network itself, on [T, B, 3, H, W]; `run` says which run it is and `meta` what made it.
    """

    def __init__(self, weights: dict[str, Tensor], meta: Json):
        super().__init__()
        self.meta, self.run = meta, parse(meta["run"]["path"])
        self.encoder = getattr(self.run, "encoder", "direct")
        self.steps = getattr(self.run, "steps", meta["settings"].get("curve", {}).get("steps", 1))
        self.gain = meta["settings"].get("encoder", {}).get("gain", 1.0)
        with single_precision():
            self.net = self._built(weights, meta)

    def _built(self, weights: dict[str, Tensor], meta: Json) -> Net:
        network, data = meta["settings"]["network"], meta["data"]
        own = meta["settings"].get("architecture")
        net = build(
            architecture(self.run.network_name, own) if own else self.run.network_name,
            data["classes"],
            data["side"],
            width=network["width"],
            fc=network["fc"],
            dropout_scale=network["dropout_scale"],
            standardised="standardise.mean" in weights,
        )
        if self.run.kind == "ann" and network.get("levels"):
            quantise(net, network["levels"])
        if self.run.kind != "ann":
            neuron = meta["settings"]["neuron"]
            dynamics = Dynamics(order=neuron["order"], reset=neuron["reset"])
            net = spiking(net, dynamics)
            if any(name.startswith("readout.activation.") for name in weights):
                with_spiking_readout(net, dynamics)
            with_dynamics(net, leak=meta.get("leak", 1.0))
        net.load_state_dict(weights)
        return net.eval()

    def observe(self, images: Tensor, steps: int | None = None, seed: int = 0) -> Output:
        """Run the network on images [B, 3, H, W] in [0, 1]: features, tapped activations, logits.

        InputError if they are of another type, shape, side or range, or `steps` is no T, or the weights were converted.
        """
        check_images(images, self.net.side)
        steps = check_steps(self.steps if steps is None else steps)
        if (kind := self.net.readout.weight.dtype) != torch.float32:
            raise InputError(f"the network was made {kind}, and it computes in float32: call its .float()")
        with single_precision():
            x = (images.float() * 2 - 1).contiguous(memory_format=torch.channels_last)
            noise = batch_noise(generator(seed, "loaded network", device=x.device))
            return self.net(encode(self.encoder, x, steps, noise, self.gain))

    @torch.no_grad()
    def forward(self, images: Tensor, steps: int | None = None, seed: int = 0) -> Tensor:
        """Logits [B, K] after T steps."""
        with single_precision():
            return self.observe(images, steps, seed).logits

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


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """float32 in the block, whatever default and autocast the caller has set: compiled loops know nothing else."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_default_dtype(before)


def check_steps(steps: object) -> int:
    """T, if it is a whole number above 0; else InputError in one line."""
    with contextlib.suppress(TypeError):
        if not isinstance(steps, bool) and (found := operator.index(steps)) > 0:  # type: ignore[arg-type]
            return found
    raise InputError(f"steps is {steps!r}, a whole number above 0 was expected: leave it out for the run's own T")


def check_images(images: Tensor, side: int) -> None:
    """InputError, in one line, unless images are float [B, 3, side, side] with values in [0, 1]."""
    wanted = f"images [B, 3, {side}, {side}] in [0, 1] were expected"
    if not isinstance(images, Tensor):
        raise InputError(f"{wanted}, found {type(images).__name__}: use torch.as_tensor")
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side) or not len(images):
        hint = "images[None] makes a batch of one" if images.ndim == 3 else f"resize them to {side} x {side}, in RGB"
        raise InputError(f"{wanted}, found {list(images.shape)}: {hint}")
    if not images.is_floating_point():
        raise InputError(f"{wanted}, found {images.dtype}: images.float() / 255 if they are bytes")
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:  # NaN as well
        raise InputError(f"{wanted}, found {low:g} to {high:g}: divide bytes by 255, undo any standardisation")


def load(folder: str | Path) -> Loaded:
    """The network of the run in `folder`, or of a NIR file exported here, on the CPU; `.to("cuda")` moves it."""
    path = Path(folder)
    if path.suffix == ".nir":
        from lasnn.spiking import nir_graph

        return Loaded(*nir_graph.read(path))
    return Loaded(*checkpoint.load(path if path.suffix == ".pt" else path / "model.pt"))
