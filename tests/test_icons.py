"""The embedded icons: what the file holds, and who is named for it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

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
    notices = ("The above copyright notice and this permission", "provided that the above copyright", "public domain")
    assert all(notice in page for notice in notices)
    assert (DATA / "../../LICENSE").resolve() == ROOT / "LICENSE"
    assert "(../../LICENSE)" in page and "Apache License" in (ROOT / "LICENSE").read_text()
    assert "(ICONS.md)" in (DATA / "LICENCE.md").read_text()
