"""What every test starts from: a fixed seed, one thread, and a hypothesis profile without deadlines."""

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=2000)
torch.set_num_threads(1)  # small nets: several threads on busy cores are up to fifty times slower
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test draws the same numbers."""
    torch.manual_seed(0)
