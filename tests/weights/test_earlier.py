"""Files of earlier formats are refused, with the version that reads them."""

import json

import pytest

from learned_affine import LearnedAffineAugment
from learned_affine.weights import WeightsError, describe
from learned_affine.weights.container import FORMAT
from tests.weights.fuzz import pack, unpack

pytestmark = pytest.mark.filterwarnings("ignore:augment is not fitted")  # saved without a fit


@pytest.mark.parametrize("format_", range(1, FORMAT))
@pytest.mark.parametrize("digest", [True, False])
def test_an_earlier_format_names_the_version_that_reads_it(path, format_, digest):
    """Whatever else the file holds; those of format 1 had no digest."""
    header, data = unpack(path.read_bytes())
    described = {"format": format_, "limits": {"angle": 30.0, "mirror": True}}
    header["__metadata__"] = {"learned_affine": json.dumps(described)} | ({"sha256": "0"} if digest else {})
    path.write_bytes(pack(header, data))
    named = rf"it has the format {format_}, which version 0\.2 of learned_affine reads .*fit the augmenter anew"
    with pytest.raises(WeightsError, match=named):
        LearnedAffineAugment.from_pretrained(path)
    with pytest.raises(WeightsError, match=named):
        describe(path)
