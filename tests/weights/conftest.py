"""A saved policy, as a file and as a folder."""

import pytest

from learned_affine import AffineLimits
from tests.fits import quick
from tests.subjects import vivid


@pytest.fixture(scope="session")
def fitted():
    """Not to be changed by a test."""
    return quick(limits=AffineLimits(7))


@pytest.fixture
def path(tmp_path):
    return vivid(AffineLimits(10)).save_pretrained(tmp_path / "a.safetensors")


@pytest.fixture
def folder(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "policy")
    return tmp_path / "policy"
