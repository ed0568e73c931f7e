"""The exact optimum of the benchmark against objectives whose optimum is known in closed form."""

import math
import sys

import pytest
import torch

from benchmarks.optimum.run import best_gaussian, energies, objective, optimum, parse, quasi_normal, run, spread
from learned_affine.policy.distribution import Policy

WIDTH, PULL = 0.9, torch.tensor([3.0, 8.0])  # of two images


def energy(points: torch.Tensor) -> torch.Tensor:
    """``PULL / 2 * |u|^2``: with a Gaussian prior the optimum is the Gaussian whose precisions add up."""
    return PULL * points.square().sum(-1) / 2


def gaussian(width: torch.Tensor) -> Policy:
    return Policy(torch.zeros(len(width), 6), width[:, None, None] * torch.eye(6))


def test_optimum_of_a_quadratic_loss_is_the_known_gaussian() -> None:
    best_width = (1 / WIDTH**2 + PULL).rsqrt()
    free_energy = 6 * (math.log(WIDTH) - best_width.log())  # -log Z
    found = optimum(energy, gaussian(0.7 * best_width), WIDTH, 4096)
    torch.testing.assert_close(found["best"], free_energy, atol=0.05, rtol=0)
    torch.testing.assert_close(found["prior"], 3 * PULL * WIDTH**2, atol=0.05, rtol=0.02)
    kl = 3 * (best_width / WIDTH).square() - 3 + free_energy
    torch.testing.assert_close(found["kl_of_best"], kl, atol=0.1, rtol=0)
    # the policy's regret is its divergence from the optimum, which is known between Gaussians
    ratio = torch.tensor(0.7**2)
    regret = (3 * (ratio - 1 - ratio.log())).expand(2)
    torch.testing.assert_close(found["network"] - found["best"], regret, atol=0.1, rtol=0)


def test_the_best_gaussian_is_the_optimum_where_that_is_one() -> None:
    start = gaussian(torch.tensor([0.1, 0.8]))
    start.mean.fill_(0.3)
    policy = best_gaussian(energy, start, WIDTH, steps=150)
    best_width = (1 / WIDTH**2 + PULL).rsqrt()
    values = objective(energies(energy, spread(policy, quasi_normal(512))), policy, WIDTH)
    torch.testing.assert_close(values, 6 * (math.log(WIDTH) - best_width.log()), atol=0.1, rtol=0)


def test_a_small_run_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    small = "--size 64 --width 4 --images 6 --points 64 --gaussian-images 3 --steps 16"
    monkeypatch.setattr(sys, "argv", ["run", *small.split()])
    row = run(parse(), seed=0)
    assert list(row["regret_by_step"]) == ["0", "1", "2", "4", "8", "16"]
    assert row["gap"] == pytest.approx(row["prior"] - row["best"], abs=1e-4)
    assert row["regret"] > -0.1  # nothing is better than the optimum, up to the points' error
    assert row["few_regret_of_gaussian"] < row["few_regret"] + 0.1
    assert row["kl_of_best"] > 0
    assert row["temperature"] != 1 and row["dual"] > 0
