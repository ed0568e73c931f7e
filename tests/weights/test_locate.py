"""Where a policy is, and the hub, played by local folders: nothing here uses a network."""

import builtins
import shutil

import pytest

from learned_affine import LearnedAffineAugment, list_weights
from learned_affine.weights import WeightsError
from learned_affine.weights.locate import FILE
from tests.fits import same_weights
from tests.subjects import vivid

huggingface_hub = pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit
load = LearnedAffineAugment.from_pretrained
COMMIT = "a" * 40


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


def test_a_revision_is_passed_on(hub):
    load("someone/policy", revision="v2")
    assert hub == [("someone/policy", FILE, "v2")]


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


@pytest.mark.parametrize(
    "source",
    [
        *(
            "policies/mine.safetensors",
            "a/b/c",
            "../policy",
            "./policy",
            "~/policy",
            "a//b",
            "/a/b",
            "a/",
            "-a/b",
            "a/.b",
        ),
        *("a b/c", "a/b\n", "https://x/y", "\0/a", "a/\0", "x" * 5000, "x" * 5000 + "/y.safetensors", "ä/b", ""),
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


def test_what_comes_from_the_hub_is_judged_like_any_file(hub, folder):
    (folder / FILE).write_bytes(b"<!DOCTYPE html> not what was asked for")
    with pytest.raises(WeightsError, match="no safetensors file"):
        load("someone/policy")


def test_without_the_extra_one_is_told_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"'someone/policy' is no path here.*pip install learned_affine\[hub\]"):
        load("someone/policy")
    assert load(list_weights()[0]).history is not None, "nothing else needs it"


@pytest.fixture
def cache(folder, tmp_path, monkeypatch):
    """The hub's own cache as it lies on disk after a download, and no network."""
    repository = tmp_path / "cache" / "models--someone--policy"
    blob, snapshot = repository / "blobs" / "0123", repository / "snapshots" / COMMIT
    blob.parent.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    shutil.copy(folder / FILE, blob)
    (snapshot / FILE).symlink_to(blob)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repository


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_the_hubs_own_cache_serves_it_offline(cache, folder, revision):
    assert same_weights(load("someone/policy", revision=revision), load(folder))


@pytest.mark.parametrize(("source", "revision"), [("someone/else", None), ("someone/policy", "v9"), ("a--b/c", None)])
def test_what_the_cache_lacks_is_said(cache, source, revision):
    with pytest.raises(FileNotFoundError, match=f"source '{source}' is no path here, and {FILE}"):
        load(source, revision=revision)
