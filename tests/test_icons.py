"""The embedded icons: what the file holds, who is named for it, and how the script chooses and divides."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import make_icons
from examples.data.make_icons import Picture

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data"
PARTS = ("train", "test")
ROW = re.compile(r"\| `([^`]+)` \| (.+) \| (.+) \| (.+) \| `([^`]+)` \| (train|test) \| (\d+) \|")


@pytest.fixture(scope="module")
def icons() -> dict[str, np.ndarray]:
    with np.load(DATA / "icons.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def table() -> dict[str, tuple[str, ...]]:
    """The page's rows by prefix: name, author, licence, family, part, icons."""
    lines = [line for line in (DATA / "ICONS.md").read_text().splitlines() if line.startswith("| `")]
    rows = [ROW.fullmatch(line).groups() for line in lines]
    assert len({prefix for prefix, *_ in rows}) == len(rows)
    return {prefix: tuple(rest) for prefix, *rest in rows}


def words(linked: str) -> str:
    """A link's text."""
    return re.sub(r"\[([^]]*)\]\(.*\)", r"\1", linked)


# what the file holds


def test_no_picture_is_there_twice(icons):
    pictures = [image.tobytes() for part in PARTS for image in icons[f"{part}_images"]]
    assert len(set(pictures)) == len(pictures) > 5000


def test_no_test_picture_is_nearly_one_for_training(icons):
    for label in range(len(icons["classes"])):
        train, test = (icons[f"{part}_images"][icons[f"{part}_labels"] == label].reshape(-1, 1024) for part in PARTS)
        apart = torch.cdist(torch.tensor(test).double(), torch.tensor(train).double(), p=1) / 1024
        assert float(apart.min()) >= 2


def test_sets_families_first_words_and_authors_are_in_one_part_alone(icons, table):
    prefixes, of_part = icons["prefixes"].tolist(), {}
    for part in PARTS:
        sets = np.unique(icons[f"{part}_sets"])
        mine = [prefixes[index] for index in sets]
        of_part[part] = {("set", prefix) for prefix in mine}
        of_part[part] |= {("family", icons["families"][index].item()) for index in sets}
        of_part[part] |= {("word", re.match(r"[a-z]+", prefix)[0]) for prefix in mine}
        of_part[part] |= {("author", words(table[prefix][1])) for prefix in mine}
    assert of_part["train"] & of_part["test"] == set()
    shares = [sum(kind == "set" for kind, _ in of_part[part]) / len(prefixes) for part in PARTS]
    assert sum(shares) == 1 and 0.3 < shares[1] < 0.35


# who is named for it


def test_every_set_is_attributed_with_its_number_of_icons(icons, table):
    assert sorted(table) == icons["prefixes"].tolist()
    for index, prefix in enumerate(icons["prefixes"].tolist()):
        name, author, _, family, part, count = table[prefix]
        assert name and words(author) and "](http" in table[prefix][1] + table[prefix][2]
        assert family == icons["families"][index]
        assert int(count) == (icons[f"{part}_sets"] == index).sum() > 0


def test_licences_are_the_four_that_permit_it_and_their_notices_are_there(table):
    page = (DATA / "ICONS.md").read_text()
    assert {words(licence) for _, _, licence, *_ in table.values()} == {"MIT", "Apache-2.0", "ISC", "CC0-1.0"}
    for notice in (
        "The above copyright notice and this permission",
        "provided that the above copyright",
        "public domain",
    ):
        assert notice in page
    assert (DATA / "../../LICENSE").resolve() == ROOT / "LICENSE"
    assert "(../../LICENSE)" in page and "Apache License" in (ROOT / "LICENSE").read_text()
    assert "(ICONS.md)" in (DATA / "LICENCE.md").read_text()


# how it is loaded


# how the script chooses and divides


def entry(author: str = "A", licence: str = "MIT", **others) -> dict:
    return {"name": "N", "author": {"name": author, "url": "http://a"}, "license": {"spdx": licence}, **others}


def picture(seed: int, prefix: str, label: int = 0) -> Picture:
    return Picture(np.random.default_rng(seed).integers(0, 255, 1024, np.uint8).tobytes(), label, prefix)


@pytest.fixture
def package(tmp_path) -> Path:
    """A package of three sets, whose drawings' bodies are seeds."""
    (tmp_path / "json").mkdir()
    (tmp_path / "package.json").write_text('{"version": "1.2.3"}')
    sets = {prefix: entry(author=prefix) for prefix in ("one", "two", "three")}
    (tmp_path / "collections.json").write_text(json.dumps(sets))
    for place, prefix in enumerate(sets):
        icons = {"play": {"body": f"{place}"}, "pause-bold": {"body": f"{place + 10}"}, "no-class": {"body": "30"}}
        icons |= {"home": {"body": "7<animate/>"}, "star": {"body": "blank"}, "heart": {"body": "0"}}
        (tmp_path / "json" / f"{prefix}.json").write_text(json.dumps({"prefix": prefix, "icons": icons}))
    return tmp_path


def drawing(text: str) -> bytes:
    body = re.search(r">(.*)</svg>", text)[1]
    return bytes(1024) if body == "blank" else picture(int(re.match(r"\d+", body)[0]), "").pixels


def test_the_script_writes_the_same_bytes_twice_and_nothing_that_it_should_not(package, tmp_path, monkeypatch):
    monkeypatch.setattr(make_icons, "render", drawing)
    files = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        make_icons.make(package, tmp_path / name)
        files.append([(tmp_path / name / file).read_bytes() for file in ("icons.npz", "ICONS.md")])
    assert files[0] == files[1]
    arrays = np.load(tmp_path / "first" / "icons.npz")
    assert [len(arrays[f"{part}_sets"]) for part in PARTS] == [3, 2]  # 'play' of set 0 is a 'heart', too
    names = {make_icons.NAMES[label] for part in PARTS for label in arrays[f"{part}_labels"]}
    assert names == {"play", "pause"}
    assert files[0][1].decode().count("\n| `") == 3
