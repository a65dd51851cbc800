"""Tiny trainings: a recipe, images, a student with dropout, and losses of a batch."""

import torch
from oracle import settings_of, small_snn
from torch.nn import functional as F

from lasnn.console import Console
from lasnn.datasets.batches import Images
from lasnn.networks.layers import Dropout
from lasnn.spiking.encoders import batch_noise, poisson
from lasnn.spiking.neurons import Dynamics
from lasnn.storage import checkpoint
from lasnn.training.loop import Job, fit
from lasnn.training.resume import Saves

STEPS = 6


def recipe(**update):
    plain = {"batch": 4, "epochs": 4, "lr": 0.01, "schedule": "steps", "optimizer": "sgd", "milestones": (0.5,)}
    return settings_of("hybrid").training.model_copy(update=plain | update)


def pictures(count=10, side=8):
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, 3, side, side), generator=draws, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 4, torch.arange(count))


def job(folder, tag="tag", micro_batch=4, seed=0, **update):
    data = settings_of("hybrid").data.model_copy(update={"crop_padding": 1, "flip": True})
    return Job(recipe(**update), data, seed, micro_batch, Saves(folder, tag, Console()))


def ann_losses(net):
    return lambda part, moment: {"ce": F.cross_entropy(net(part.batch.x[None]).logits, part.batch.labels)}


def snn_losses(net):
    def losses(part, moment):
        noise = batch_noise(moment.draws("encoder"), part.start, part.whole)
        x = poisson(part.batch.x, STEPS, noise).to(net.readout.weight.dtype)
        return {"ce": F.cross_entropy(net(x).logits, part.batch.labels)}

    return losses


def student():
    """With dropout after its first and last layers, and non-zero rates everywhere."""
    net = small_snn("vgg5", Dynamics(0.5), threshold=0.125)
    assert sum(module.rate > 0 for module in net.modules() if isinstance(module, Dropout)) == 3
    return net


def interrupt(count, what=KeyboardInterrupt):
    """A callback that raises when it is called for the `count`-th time."""
    calls = []

    def called(*arguments):
        calls.append(arguments)
        if len(calls) == count:
            raise what
        return {}

    return called


def same(net, other):
    return all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def position(folder):
    return checkpoint.read_sealed(folder / "resume.pt")["position"]


def without_clock(log):
    return [{**line, "seconds": 0} for line in log]


def goes_on_to(whole, made, watch=None):
    """Whether the training that `made` left goes on to the bits of one that nothing disturbed."""
    net = student()
    found = fit(net, snn_losses(net), pictures(), made, watch)
    return same(net, whole[0]) and without_clock(found) == without_clock(whole[1])
