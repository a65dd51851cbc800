"""Tiny ImageNet in its official layout: wnids.txt, train/<wnid>/images/, val/images/ and val/val_annotations.txt."""

from lasnn.datasets.archives import Tree
from lasnn.datasets.images import ENDINGS, Listing
from lasnn.datasets.mirrors import Official
from lasnn.errors import InputError

MARK = "wnids.txt"  # the file that tells this layout from a plain tree of images
ANNOTATIONS = "val/val_annotations.txt"
OFFICIAL = Official(
    archive="tiny-imagenet-200.zip",
    folder="tiny-imagenet-200",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
)


def listing(tree: Tree) -> Listing:
    """Classes are the WordNet ids; the validation set is the test split, as the test labels are not public."""
    classes = tuple(sorted(_text(tree, MARK).split()))
    label = {wnid: index for index, wnid in enumerate(classes)}
    class_of = dict(line.split("\t")[:2] for line in _text(tree, ANNOTATIONS).splitlines() if "\t" in line)
    train, test = [], []
    for file in tree.files:
        if not file.lower().endswith(ENDINGS):
            continue
        match file.split("/"):
            case ["train", wnid, "images", _]:
                train.append((file, _label(tree, file, label, wnid)))
            case ["val", "images", name]:
                test.append((file, _label(tree, file, label, class_of.get(name))))
    for split, entries in (("train", train), ("val", test)):
        empty = sorted(set(range(len(classes))) - {each for _, each in entries})
        if empty:
            raise InputError(f"{tree.label}: {split}/ holds no image of class {classes[empty[0]]}; fetch it again")
    return Listing(classes, tuple(train), tuple(test))


def _text(tree: Tree, file: str) -> str:
    if file not in tree.files:
        raise InputError(f"{tree.label} is not Tiny ImageNet: {file} is missing; fetch the official archive again")
    return tree.read(file).decode(errors="replace")


def _label(tree: Tree, file: str, label: dict[str, int], wnid: str | None) -> int:
    if wnid not in label:
        raise InputError(
            f"{tree.label}: {file} has the class {wnid}, expected one of the {len(label)} in {MARK}; fetch it again"
        )
    return label[wnid]
