"""Make ``icons.npz`` and ``ICONS.md``: icons of 53 classes, drawn by many hands, 32 x 32 pixels, grey.

    npm pack @iconify/json@2.2.535 && tar xzf iconify-json-2.2.535.tgz
    pip install resvg-py==0.5.0 pillow
    python examples/data/make_icons.py package

The same package and the same renderer give the same files, byte for byte.

- Taken: design sets under a licence in ``LICENCES``, with an address to attribute them to, and without colours of their
  own. Sets of logos are not, as a name like *cloud* may be a maker's there.
- A drawing's class is its name, with or without words for its style: ``play-bold-24`` is *play*, ``play-circle`` none.
  Drawings that move are left out, as their first frame is often half of them, and so are blank pictures.
- Each picture is kept once. One that has two classes is left out.
- A third of the design sets are for testing, and a family of sets is never divided. Two sets are of one family if their
  prefixes begin with the same word (numbers aside), if they have the same author, or if they share five pictures.
- A test picture that differs from one for training by less than two grey levels a pixel is left out.
"""

import hashlib
import io
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

try:
    from examples.data.icons_page import page
except ModuleNotFoundError:  # run as a script, which finds what is beside it
    from icons_page import page

LICENCES = ("Apache-2.0", "CC0-1.0", "ISC", "MIT")
LOGOS = ("Logos", "Programming")  # the package's categories for sets of logos
CLASSES = """
arrow-left arrow-right arrow-up arrow-down chevron-left chevron-right chevron-up chevron-down align-left align-right
rotate-left rotate-right undo redo login logout download upload thumbs-up thumbs-down home heart star search user
bell lock trash phone camera cloud moon sun play pause calendar clock key gift car truck book bookmark flag folder mail
tag wifi battery plus minus check close
"""
STYLES = """
outline outlined line linear fill filled solid bold thin light duotone twotone round rounded sharp broken regular
"""
NAMES = CLASSES.split()  # a class's index is its place
NAME = re.compile(rf"({'|'.join(NAMES)})(-({'|'.join(STYLES.split())}|\d+))*")
SIDE = 32
FAINTEST = 16  # a picture with less between its darkest and its lightest pixel is blank
SHARED = 5  # so many pictures in both make two sets one family
NEAREST = 2  # grey levels a pixel, on the mean, between a test picture and one for training
TEST_SHARE = 1 / 3
SEED = 0

Sets = dict[str, dict[str, Any]]  # what the package says of each design set, by its prefix


@dataclass(frozen=True)
class Picture:
    """One drawing's pixels, ``SIDE * SIDE`` bytes with 255 for paper, its class, and its design set's prefix."""

    pixels: bytes
    label: int
    prefix: str


def main() -> None:
    """Write both files beside this script."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "collections.json").is_file():
        raise SystemExit("usage: make_icons.py FOLDER, where FOLDER is the unpacked npm package @iconify/json")
    make(Path(sys.argv[1]), Path(__file__).parent)


def make(package: Path, target: Path) -> None:
    """Write both files into a folder."""
    sets = permitted(json.loads((package / "collections.json").read_text()))
    pictures = [picture for prefix in sorted(sets) for picture in drawn(package, prefix)]
    family = families({picture.prefix: sets[picture.prefix] for picture in pictures}, pictures)
    held_out, kept = families_for_testing(family), unique(pictures)
    train = [picture for picture in kept if family[picture.prefix] not in held_out]
    test = unlike([picture for picture in kept if family[picture.prefix] in held_out], train)
    arrays = as_arrays(train, test, family)
    np.savez_compressed(target / "icons.npz", **arrays)
    version = json.loads((package / "package.json").read_text())["version"]
    (target / "ICONS.md").write_text(page(version, sets, arrays), encoding="utf-8")
    print(f"{len(train)} + {len(test)} icons, {(target / 'icons.npz').stat().st_size / 1e6:.2f} MB")


def permitted(sets: Sets) -> Sets:
    """The design sets that may be used, can be attributed, are drawn in one colour, and are no logos."""
    return {
        prefix: entry
        for prefix, entry in sets.items()
        if entry["license"].get("spdx") in LICENCES
        and not entry.get("palette")
        and entry.get("category") not in LOGOS
        and (entry["author"].get("url") or entry["license"].get("url"))
    }


def label_of(name: str) -> int | None:
    """The class that a drawing's name says, if it says one."""
    found = NAME.fullmatch(name)
    return None if found is None else NAMES.index(found[1])


def drawn(package: Path, prefix: str) -> Iterator[Picture]:
    """The pictures of one design set whose names say a class, without blank ones and ones that move."""
    content = json.loads((package / "json" / f"{prefix}.json").read_text())
    for name, icon in sorted(content["icons"].items()):
        label = label_of(name)
        if label is None or re.search("<(animate|set)", icon["body"]):
            continue
        pixels = render(svg({**content, **icon}))
        if max(pixels) - min(pixels) >= FAINTEST:
            yield Picture(pixels, label, prefix)


def svg(icon: dict[str, Any]) -> str:
    """A drawing as an SVG file; the package leaves out sizes of 16 and corners at 0."""
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {icon.get('width', 16)} {icon.get('height', 16)}"
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {names} viewBox="{box}" width="{SIDE}" height="{SIDE}" color="#000">{icon["body"]}</svg>'


def render(text: str) -> bytes:
    """An SVG file's pixels, in black on white."""
    try:
        import resvg_py
        from PIL import Image
    except ImportError as error:
        raise SystemExit(f"to draw icons: pip install resvg-py pillow ({error})") from None
    png = resvg_py.svg_to_bytes(svg_string=text, background="#fff", width=SIDE, height=SIDE, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("L").tobytes()


def families(sets: Sets, pictures: list[Picture]) -> dict[str, str]:
    """The family of each design set, named by the first of its prefixes."""
    owners = defaultdict(set)
    for picture in pictures:
        owners[picture.pixels].add(picture.prefix)
    shared = Counter(pair for prefixes in owners.values() for pair in combinations(sorted(prefixes), 2))
    family = {prefix: prefix for prefix in sorted(sets)}
    for one, other in combinations(sorted(sets), 2):
        if related(one, other, sets) or shared[one, other] >= SHARED:
            name, joined = sorted((family[one], family[other]))
            family = {prefix: name if now == joined else now for prefix, now in family.items()}
    return family


def related(one: str, other: str, sets: Sets) -> bool:
    """Whether two sets' prefixes begin with the same word, numbers aside, or both have the same author."""
    words = [prefix.split("-")[0].rstrip("0123456789") for prefix in (one, other)]
    authors = [sets[prefix]["author"]["name"].casefold() for prefix in (one, other)]
    return words[0] == words[1] or authors[0] == authors[1]


def families_for_testing(family: dict[str, str]) -> set[str]:
    """Families for testing: in an order by chance, each that leaves the test sets within a third of all sets."""
    sizes = Counter(family.values())
    order = sorted(sizes, key=lambda name: hashlib.sha256(f"{SEED} {name}".encode()).digest())
    chosen: set[str] = set()
    for name in order:
        if sum(sizes[taken] for taken in chosen) + sizes[name] <= TEST_SHARE * len(family):
            chosen.add(name)
    return chosen


def unique(pictures: list[Picture]) -> list[Picture]:
    """Each picture once, the first of its copies; none if its copies are of several classes."""
    labels = defaultdict(set)
    for picture in pictures:
        labels[picture.pixels].add(picture.label)
    first = {picture.pixels: picture for picture in reversed(pictures)}
    return [picture for picture in pictures if first[picture.pixels] is picture and len(labels[picture.pixels]) == 1]


def unlike(test: list[Picture], train: list[Picture]) -> list[Picture]:
    """The test pictures that differ from each of those for training by ``NEAREST`` grey levels a pixel or more."""
    known = pixels_of(train).astype(np.int16)
    differences = [int(np.abs(known - one).sum((1, 2), dtype=np.int64).min()) for one in pixels_of(test)]
    return [picture for picture, least in zip(test, differences, strict=True) if least >= NEAREST * SIDE * SIDE]


def pixels_of(pictures: list[Picture]) -> np.ndarray:
    """``(N, SIDE, SIDE)``."""
    return np.stack([np.frombuffer(picture.pixels, np.uint8).reshape(SIDE, SIDE) for picture in pictures])


def as_arrays(train: list[Picture], test: list[Picture], family: dict[str, str]) -> dict[str, np.ndarray]:
    """What the file holds: of each part the images, their labels and their sets; the names of classes and sets."""
    prefixes = sorted({picture.prefix for picture in (*train, *test)})
    arrays = {"classes": np.array(NAMES), "prefixes": np.array(prefixes)}
    arrays["families"] = np.array([family[prefix] for prefix in prefixes])
    for part, pictures in (("train", train), ("test", test)):
        arrays[f"{part}_images"] = pixels_of(pictures)
        arrays[f"{part}_labels"] = np.array([picture.label for picture in pictures], np.uint8)
        arrays[f"{part}_sets"] = np.array([prefixes.index(picture.prefix) for picture in pictures], np.uint8)
    return arrays


if __name__ == "__main__":
    main()
