"""A loaded network: images and T are checked in one line, and what the caller set for torch changes no bit."""

import functools

import numpy as np
import pytest
import torch

from lasnn.errors import InputError
from lasnn.loading import Loaded, check_images
from lasnn.networks import build, initialise
from lasnn.spiking.conversion import spiking
from lasnn.spiking.neurons import Dynamics


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((1, 3, 16, 16), dtype=np.float32), "found ndarray: use torch.as_tensor"),
        (torch.randint(0, 256, (1, 3, 16, 16)), "found torch.int64: images.float() / 255"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "found torch.uint8"),
        (255 * torch.ones(1, 3, 16, 16), "found 255 to 255: divide bytes by 255"),
        (-torch.ones(1, 3, 16, 16), "found -1 to -1"),
        (torch.full((1, 3, 16, 16), float("nan")), "found nan to nan"),
        (torch.rand(3, 16, 16), "found [3, 16, 16]: images[None] makes a batch of one"),
        (torch.rand(1, 16, 16, 3), "found [1, 16, 16, 3]: resize them to 16 x 16, in RGB"),
        (torch.rand(1, 3, 32, 32), "found [1, 3, 32, 32]: resize them to 16 x 16"),
        (torch.rand(0, 3, 16, 16), "found [0, 3, 16, 16]"),
    ],
)
def test_other_images_are_one_line(images, told):
    with pytest.raises(InputError) as error:
        check_images(images, 16)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("images [B, 3, 16, 16] in [0, 1] were expected, ")
    assert told in str(error.value)
    for edge in (torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)):  # of [0, 1]
        check_images(edge, 16)


X = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@functools.cache
def kept(kind):
    """Weights and meta of an ANN, or a spiking network of T = 4 whose neurons fire."""
    path = {"ann": "ann/digits/vgg5/base/s0"}.get(kind, f"snn/digits/vgg5/hybrid/{kind}-T4/none/base/s0")
    net = initialise(build("vgg5", 10, 16, width=0.125, fc=16), "vgg5", "he", torch.Generator().manual_seed(1))
    weights = (net if kind == "ann" else spiking(net, Dynamics())).state_dict()
    weights |= {name: torch.tensor(0.1) for name in weights if name.endswith("threshold")}
    network = {"width": 0.125, "fc": 16, "dropout_scale": 0.0, "init": "he", "teacher_norm": "unit"}
    settings = {"network": network, "neuron": {"order": "sync", "reset": "soft"}}
    return weights, {"run": {"path": path}, "settings": settings, "data": {"classes": 10, "side": 16}}


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "3", float("nan"), [4]])
def test_what_is_no_number_of_steps_is_one_line(steps):
    with pytest.raises(InputError, match=r"^steps is .*, a whole number above 0 was expected"):
        Loaded(*kept("poisson"))(X, steps=steps)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("made", ["ann", "direct", "poisson"])
def test_another_precision_is_refused_as_the_networks_and_changes_nothing_as_the_callers(kind, made):
    expected = Loaded(*kept(made))(X)
    assert expected.any()
    with pytest.raises(InputError, match=rf"^the network was made {kind}, and it computes in float32: call its .float"):
        Loaded(*kept(made)).to(kind)(X)
    before = Loaded(*kept(made))
    torch.set_default_dtype(kind)
    try:
        assert torch.equal(before(X), expected)
        assert torch.equal(Loaded(*kept(made))(X), expected)
        assert torch.equal(before(X.double()), expected)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(before(X), expected)
