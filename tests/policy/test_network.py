"""The localization network observes one image at a time, and starts narrow."""

import pytest
import torch

from learned_affine import AffineLimits, LearnedAffineAugment
from learned_affine.policy.distribution import LARGEST, PRIOR_WIDTH, SMALLEST, START, Policy
from learned_affine.policy.network import NUMBERS, UNIT, LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from tests.subjects import blobs, vivid


def numbers_of(parameters):
    """The six numbers and the mirror side by side, ``(B, 7)``."""
    return torch.cat([parameters.stacked(), parameters.mirror[:, None]], dim=1)


def test_batched_is_one_by_one():
    images, noise, network = blobs(8)[0], torch.randn(8, 7), vivid().localization
    limits = AffineLimits()
    together = numbers_of(network.draw(images, noise, limits, 1.0))
    single = [numbers_of(network.draw(images[i : i + 1], noise[i : i + 1], limits, 1.0)) for i in range(8)]
    torch.testing.assert_close(together, torch.cat(single), atol=1e-4, rtol=1e-4)
    assert 0 < together[:, 6].sum() < 8


def test_unfitted_policy_is_narrow_and_round_the_identity():
    policy = LocalizationNetwork(1)(blobs(4)[0])
    assert torch.equal(policy.mean, torch.zeros(4, 6))
    torch.testing.assert_close(policy.scale_tril, 0.1 * PRIOR_WIDTH * torch.eye(6).expand(4, 6, 6))
    torch.testing.assert_close(policy.mirror_chance, torch.full((4,), 0.05))


def test_strength_moves_toward_the_identity():
    images, noise, network = blobs(4)[0], torch.randn(4, 6), vivid().localization
    moved = [network.draw(images, noise, AffineLimits(), s).displacement().mean().item() for s in (0.0, 0.5, 1.0)]
    assert moved[0] == 0 and 0 < moved[1] < moved[2]


def test_one_policy_for_all_observes_no_image():
    network = LocalizationNetwork(1, per_image=False)
    torch.nn.init.normal_(network.head.weight)
    policy = network(blobs(4)[0])
    assert torch.equal(policy.mean, policy.mean[:1].expand(4, 6)) and policy.mean.abs().sum() > 0
    assert torch.equal(policy.mirror_chance, policy.mirror_chance[:1].expand(4)) and policy.mirror_chance[0] > 0


# -- mirrors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirrors", [False, True])
def test_the_head_has_an_output_for_the_mirror_where_there_are_mirrors(mirrors):
    network = LocalizationNetwork(1, mirrors=mirrors)
    assert network.head.out_features == NUMBERS + mirrors == (28 if mirrors else 27)
    assert network.arguments()["mirrors"] is mirrors
    again = LocalizationNetwork(**network.arguments())
    again.load_state_dict(network.state_dict())
    assert (network(blobs(2)[0]).mirror_logit is None) == (not mirrors)


def test_a_chance_is_at_most_a_half_and_each_images_own():
    network = LocalizationNetwork(1)
    torch.nn.init.normal_(network.head.weight, std=5)
    chance = network(torch.rand(200, 1, 16, 16)).mirror_chance
    assert chance.max() == 0.5 and 0 <= chance.min() < 0.01 and len(chance.unique()) > 20


def test_costs_become_chances_at_a_price_that_is_settled_into_the_weights():
    """What a mirror costs in nats is the last output over ``-UNIT``; the odds are e to the ``-dual cost``."""
    network, images = LocalizationNetwork(1).eval(), torch.rand(50, 1, 16, 16)
    torch.nn.init.normal_(network.head.weight)
    cost, dual = -network.mirror_output(network.observe(images)) / UNIT, 3.0
    network.price = dual / UNIT
    expected = torch.exp(-dual * cost.clamp_min(0)) / (1 + torch.exp(-dual * cost.clamp_min(0)))
    torch.testing.assert_close(network(images).mirror_chance, expected, atol=1e-5, rtol=1e-4)
    before = network(images)
    network.set_price(1.0)
    assert network.price == 1.0
    torch.testing.assert_close(network(images).mirror_logit, before.mirror_logit)
    assert torch.equal(network(images).mean, before.mean) and torch.equal(network(images).scale_tril, before.scale_tril)


def without_mirrors(network: LocalizationNetwork) -> LocalizationNetwork:
    """The same network with the last output cut off."""
    bare = LocalizationNetwork(**{**network.arguments(), "mirrors": False})
    state = network.state_dict()
    bare.load_state_dict(
        {**state, "head.weight": state["head.weight"][:NUMBERS], "head.bias": state["head.bias"][:NUMBERS]}
    )
    return bare


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_limits_without_mirrors_draw_the_same_bits_as_a_network_without_them(p):
    augment = vivid(p=p)
    options = {"limits": AffineLimits(symmetries="none"), "p": p}
    forbidden = LearnedAffineAugment(localization=augment.localization, **options)
    bare = LearnedAffineAugment(localization=without_mirrors(augment.localization), **options)
    images, drawn, outs = torch.rand(64, 3, 12, 12), [], []
    for one in (forbidden, bare):
        torch.manual_seed(3)
        outs.append(one(images))
        drawn.append(one.last_parameters)
        assert not one.last_parameters.mirror.any()
        assert not one.sample_parameters(images).mirror.any()
    assert torch.equal(outs[0], outs[1]) and drawn[0].to_dict() == drawn[1].to_dict()


def test_noise_has_a_seventh_number_only_where_it_is_used():
    allowed, forbidden = AffineLimits(), AffineLimits(symmetries="none")
    network, bare = LocalizationNetwork(1), LocalizationNetwork(1, mirrors=False)
    widths = [one.noise(2, limits, None).shape[1] for one in (network, bare) for limits in (allowed, forbidden)]
    assert widths == [7, 6, 6, 6]
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    assert torch.equal(network.noise(2, forbidden, generators[0]), Policy.noise(2, generator=generators[1]))


def test_a_new_augmenter_has_a_network_with_mirrors_where_its_limits_allow_them():
    assert LearnedAffineAugment().localization.mirrors
    assert not LearnedAffineAugment(AffineLimits(symmetries="none")).localization.mirrors


# -- constants --------------------------------------------------------------------------------------------------------

NETWORKS = {
    "own": lambda: vivid().localization,
    "for all": lambda: LocalizationNetwork(per_image=False),
    "without mirrors": lambda: LocalizationNetwork(mirrors=False),
    "the paper's": RawHead,
}


def by_meta_device(make, state):
    with torch.device("meta"):
        network = make()
    network = network.to_empty(device="cpu")
    for buffer in network.buffers():
        buffer.fill_(77)  # as good as any: of what is not in the state, memory holds whatever it held
    network.load_state_dict(state)
    return network


def by_assignment(make, state):
    with torch.device("meta"):
        network = make()
    network.load_state_dict(state, assign=True)
    return network


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("build", [by_meta_device, by_assignment])
def test_a_network_is_its_state(make, build):
    network, images, limits = make(), torch.rand(4, 3, 16, 16), AffineLimits()
    noise = network.noise(4, limits, None) if isinstance(network, LocalizationNetwork) else None
    again = build(make, network.state_dict())
    expected = network.draw(images, noise, limits, 1.0)
    assert again.draw(images, noise, limits, 1.0).to_dict() == expected.to_dict()
    assert set(network.state_dict()) == {name for name, _ in (*network.named_parameters(), *network.named_buffers())}


def test_scale_tril_is_filled_row_by_row():
    """By a loop over the entries: the diagonal is exp of the clamped output, what is below it the prior's width."""
    network = vivid().localization
    images = torch.rand(3, 3, 16, 16)
    raw = network.head(network.features(network.observe(images)))
    expected = torch.zeros(3, 6, 6)
    for entry, (row, column) in enumerate((i, j) for i in range(6) for j in range(i + 1)):
        output = raw[:, 6 + entry]
        width = (output.clamp(SMALLEST, LARGEST) + START).exp()
        expected[:, row, column] = width if row == column else PRIOR_WIDTH * output
    torch.testing.assert_close(network(images).scale_tril, expected)


def test_what_lies_above_the_diagonal_takes_no_part_in_the_gradient():
    """No entry is NaN, and each output's gradient is that of the loop's one entry: 1 times its own slope."""
    network = vivid().localization
    raw = network.head.bias.requires_grad_()
    network(torch.rand(1, 3, 16, 16)).scale_tril.sum().backward()
    assert raw.grad.isfinite().all() and torch.equal(raw.grad[:6], torch.zeros(6))
    below = [6 + entry for entry, (i, j) in enumerate((i, j) for i in range(6) for j in range(i + 1)) if i != j]
    torch.testing.assert_close(raw.grad[below], torch.full((15,), PRIOR_WIDTH))
