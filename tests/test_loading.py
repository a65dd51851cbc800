"""Images for a loaded network: checked in one line, before they run through it."""

import numpy as np
import pytest
import torch

from lasnn.errors import InputError
from lasnn.loading import check_images


@pytest.mark.parametrize(
    "images",
    [torch.rand(2, 3, 16, 16), torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16), torch.rand(2, 3, 16, 16).double()],
)
def test_images_in_0_to_1_pass(images):
    check_images(images, 16)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((1, 3, 16, 16), dtype=np.float32), "found ndarray: use torch.as_tensor"),
        ([[0.0]], "found list"),
        (torch.randint(0, 256, (1, 3, 16, 16)), "found torch.int64: images.float() / 255"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "found torch.uint8"),
        (255 * torch.ones(1, 3, 16, 16), "found 255 to 255: divide bytes by 255"),
        (2 * torch.ones(1, 3, 16, 16), "found 2 to 2"),
        (-torch.ones(1, 3, 16, 16), "found -1 to -1"),
        (torch.full((1, 3, 16, 16), float("nan")), "found nan to nan"),
        (torch.full((1, 3, 16, 16), float("inf")), "found inf to inf"),
        (torch.rand(3, 16, 16), "found [3, 16, 16]: images[None] makes a batch of one"),
        (torch.rand(1, 16, 16, 3), "found [1, 16, 16, 3]: resize them to 16 x 16, in RGB"),
        (torch.rand(1, 1, 16, 16), "found [1, 1, 16, 16]"),
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
