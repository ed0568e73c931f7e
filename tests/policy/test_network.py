"""The localization network observes one image at a time, and starts narrow."""

import torch

from learned_affine import AffineLimits
from learned_affine.policy.distribution import PRIOR_WIDTH
from learned_affine.policy.network import START_WIDTH, LocalizationNetwork
from tests.subjects import blobs, vivid


def test_batched_is_one_by_one():
    images, noise, network = blobs(8)[0], torch.randn(8, 6), vivid().localization
    limits = AffineLimits()
    together = network.draw(images, noise, limits, 1.0).stacked()
    single = [network.draw(images[i : i + 1], noise[i : i + 1], limits, 1.0).stacked() for i in range(8)]
    torch.testing.assert_close(together, torch.cat(single), atol=1e-4, rtol=1e-4)


def test_unfitted_policy_is_narrow_and_round_the_identity():
    policy = LocalizationNetwork(1)(blobs(4)[0])
    assert torch.equal(policy.mean, torch.zeros(4, 6))
    expected = START_WIDTH * PRIOR_WIDTH * torch.eye(6).expand(4, 6, 6)
    torch.testing.assert_close(policy.scale_tril, expected)


def test_strength_moves_toward_the_identity():
    images, noise, network = blobs(4)[0], torch.randn(4, 6), vivid().localization
    moved = [network.draw(images, noise, AffineLimits(), s).displacement().mean().item() for s in (0.0, 0.5, 1.0)]
    assert moved[0] == 0 and 0 < moved[1] < moved[2]


def test_one_policy_for_all_observes_no_image():
    network = LocalizationNetwork(1, per_image=False)
    torch.nn.init.normal_(network.head.weight)
    policy = network(blobs(4)[0])
    assert torch.equal(policy.mean, policy.mean[:1].expand(4, 6)) and policy.mean.abs().sum() > 0
