"""Checksums, and the one line of what is refused."""

import hashlib

from tiny import message_of

from lasnn import datasets


def md5(content):
    return hashlib.md5(content).hexdigest()


def refused(place, name="pets", side=8):
    """Why these images of a user's own can't be prepared; nothing is left of it."""
    out = place.parent / "out"
    message = message_of(datasets.prepare, name, out / f"{name}.npz", folder=str(place), side=side)
    assert not list(out.glob("*"))
    return message


def prepared(path, name="cifar10", **named):
    datasets.prepare(name, path, allow_subset=True, **named)
    return datasets.load(path)
