"""What the sources of images hold now: a digest of a folder or archive, whatever its place is called. No torch."""

from lasnn.datasets.content import content_of, listing_of
from lasnn.datasets.preparation import located
from lasnn.errors import InputError
from lasnn.plan.config import Config
from lasnn.storage.digests import Digests
from lasnn.storage.user import expanded


def expected_content(config: Config, dataset: str, digests: Digests) -> str | None:
    """The digest of what a dataset would be prepared from; None where that can't be seen from here.

    That is so for what is embedded, for what lies behind an address, and for a folder or mirror that is not there.
    """
    own = config.own_dataset(dataset)
    try:
        place = expanded(own.folder) if own else located(dataset, config.mirror(dataset))
    except InputError:  # an empty mirror: what is prepared stays
        return None
    if place is None or not place.exists():
        return None
    if place.is_file():
        return digests.sha256(place)
    return str(digests.fact(f"content of {dataset} in", listing_of(place), lambda: content_of(place)))
