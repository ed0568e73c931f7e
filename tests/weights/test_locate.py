"""Where a policy is, and the hub, played by local folders: nothing here uses a network."""

import pytest

from learned_affine import LearnedAffineAugment
from learned_affine.weights.locate import FILE
from tests.fits import same_weights
from tests.subjects import vivid

huggingface_hub = pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
load = LearnedAffineAugment.from_pretrained


@pytest.fixture
def hub(folder, monkeypatch):
    """``hf_hub_download`` that serves one repository from a folder and takes down what it is asked for."""
    asked = []

    def download(repo_id, filename, *, revision=None):
        asked.append((repo_id, filename, revision))
        if repo_id != "someone/policy":
            raise huggingface_hub.errors.LocalEntryNotFoundError(f"404 Client Error: no {repo_id}\nand more lines")
        return str(folder / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_a_hub_id_fetches_one_file(hub, folder):
    assert same_weights(load("someone/policy", p=0.3), load(folder))
    assert hub == [("someone/policy", FILE, None)]


@pytest.mark.parametrize("source", ["CIFAR10_V3", "policies/mine.safetensors", "no such thing"])
def test_a_revision_of_something_else_is_refused(hub, source):
    with pytest.raises(ValueError, match=rf"revision is of a hub id 'org/repo'; source '{source}' is none"):
        load(source, revision="main")
    assert hub == []


def test_a_repository_that_is_not_there_is_said_in_a_line(hub):
    with pytest.raises(FileNotFoundError, match=r"source 'someone/else' is no path here, and .* had: 404 .*else$"):
        load("someone/else")
    with pytest.raises(FileNotFoundError, match=r"of that name at revision 'v3' could not"):
        load("someone/else", revision="v3")
    with pytest.raises(FileNotFoundError, match=r"no path here, and .* had: 404"):
        load("x" * 300 + "/y")  # longer than any name on disk


@pytest.mark.parametrize(
    "source",
    [
        *("policies/mine.safetensors", "a/b/c", "../policy", "~/policy", "a//b", "/a/b", "a/", "-a/b", "a/.b"),
        *("a b/c", "a/b\n", "https://x/y", "a/\0", "x" * 5000, "ä/b", ""),
    ],
)
def test_what_can_only_be_a_path_is_never_looked_for_on_a_network(hub, source):
    with pytest.raises(FileNotFoundError, match=r"FASHION_MNIST_V3.*taken for a path, where there is none"):
        load(source)
    assert hub == []


def test_a_folder_here_goes_before_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vivid().save_pretrained("someone/policy")
    assert same_weights(load("someone/policy"), vivid())
    with pytest.raises(FileNotFoundError, match="taken for a path"):
        load("someone/other")
    assert hub == []
