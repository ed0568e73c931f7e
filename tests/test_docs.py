"""What the site's own build does not see: the README's links, and whether the API pages name everything public."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import learned_affine
from learned_affine import plots

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
API = sorted((ROOT / "docs" / "api").glob("*.md"))


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_fits_a_screen_keeps_its_markers_and_names_what_a_user_must_know():
    for name in ("results", "demo"):
        assert README.count(f"<!-- {name} -->") == README.count(f"<!-- /{name} -->") == 1
    assert len(README.splitlines()) <= 88
    screen = README[README.index("<!-- screen -->") : README.index("<!-- /screen -->")]
    for word in ("held-out", "train twice", "two minutes", "unchanged", "label_map", "MappedLabels"):
        assert word in screen


def test_the_block_of_the_readme_runs_on_a_folder_of_pictures():
    """``make new-user`` runs it as it stands; here a classifier of one layer takes the place of the deep one."""
    run = runpy.run_path(str(ROOT / "docs" / "run_blocks.py"))["run"]
    deep = "models.mobilenet_v3_small(num_classes=2)"
    names, count = run(ROOT / "README.md", {deep: "torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12288, 2))"})
    picture = Image.fromarray(np.full((80, 100, 3), 200, dtype=np.uint8))
    assert count == 1 and names["train"](picture).shape == (3, 64, 64)


PUBLIC = [name for name in learned_affine.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", [*PUBLIC, *(f"plots.{name}" for name in plots.__all__)])
def test_an_api_page_names_what_is_public(name):
    assert sum(f"learned_affine.{name}\n" in page.read_text() for page in API) == 1


def listed(page):
    """The pages that the trees of a page list, as paths from docs/."""
    folder = page.parent.relative_to(ROOT / "docs")
    trees = re.findall(r"```{toctree}(.*?)```", page.read_text(), re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    return [(folder / re.sub(r".*<(.*)>", r"\1", line)).as_posix() for line in lines]


def own_pages():
    """Each page of docs/ but those that a build makes."""
    pages = {path: path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    return [path for path, name in pages.items() if not name.startswith(("_build/", "auto_examples/"))]


def test_the_sidebar_lists_each_page_once():
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in own_pages()} - {"index"}
    assert sorted(entry for path in own_pages() for entry in listed(path)) == sorted(pages | {"auto_examples/index"})


@pytest.mark.parametrize("path", [ROOT / "README.md", *own_pages()], ids=lambda path: path.stem)
def test_code_fits_a_phone_and_a_laptop(path):
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 80] == []


def test_the_files_and_names_of_the_architecture_page_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`(\w+/\w+\.py|\w+\.py)`(?: \(([^()]*)\))?", text)
    assert len(named) > 40
    for file, words in named:
        code = [path.read_text() for path in (ROOT / "learned_affine").rglob(Path(file).name) if path.match(file)]
        assert code or list(ROOT.glob(f"*/{file}")) or (ROOT / file).exists(), file
        for name in re.findall(r"`([\w.]+)`", words):
            assert not code or any(re.search(rf"\b{name.split('.')[-1]}\b", one) for one in code), (file, name)
