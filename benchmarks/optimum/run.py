"""How near the network comes to the best policy there is: the exact optimum of the objective, by brute force.

    python -m benchmarks.optimum.run                     # resumable; --steps 1600 for a longer fit
    python -m benchmarks.optimum.report                  # the page

The images are held-out ones, which a fit holds at its target. With the dual variable lam and the temperature that a fit
ends with, an image's policy q is to minimise

    J(q) = KL(q || pi) + E_q[l],    l(theta) = lam CE(f(T x), y) - w_H H(f(T x)) / log2 m

whose minimum over *all* distributions is q*(theta) = pi(theta) exp(-l(theta)) / Z with J(q*) = -log Z and
Z = E_pi[exp(-l)] (Donsker and Varadhan), so J(q) - J(q*) = KL(q || q*): the regret. Z is a mean over quasi-random
points, half of them drawn from the prior and half from the fitted policy, weighted by pi over the mixture of both.
"""

import argparse
import copy
import dataclasses
import math
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal
from torch.quasirandom import SobolEngine

from benchmarks.common.digests import digest
from benchmarks.common.rows import append, has
from benchmarks.optimum.report import ROWS, SETTING
from examples.datasets import Images, load
from learned_affine import AffineLimits, FitConfig, LearnedAffineAugment, losses
from learned_affine.classifier import SmallConvNet, train_classifier
from learned_affine.diagnostics import FitWarning

# private: what is held against the optimum is the distribution itself, before the tanh, and its network
from learned_affine.policy.distribution import DIMENSIONS, PRIOR_WIDTH, Policy
from learned_affine.policy.network import LocalizationNetwork

HELD_OUT = 400
Energy = Callable[[Tensor], Tensor]  # points before the tanh, (B, 6), to l of each image, (B,)


@dataclasses.dataclass
class Problem:
    """The objective of a fit as it stands at its end, for some images."""

    augment: LearnedAffineAugment
    classifier: nn.Module
    config: FitConfig
    dual: float
    temperature: float
    images: Tensor
    labels: Tensor

    def energy(self, points: Tensor) -> Tensor:
        """The loss terms ``l`` of one point before the tanh an image: ``(B, 6)`` to ``(B,)``."""
        warped = self.augment.warp(self.images, self.augment.limits.parameters(torch.tanh(points)))
        logits = self.classifier(warped) / self.temperature
        loss = self.dual * losses.cross_entropy_nats(logits, self.labels)
        return loss - self.config.entropy_weight * losses.relative_entropy(logits)

    def some(self, count: int) -> "Problem":
        """The same for the first images only."""
        return dataclasses.replace(self, images=self.images[:count], labels=self.labels[:count])


def quasi_normal(count: int, seed: int = 0) -> Tensor:
    """Quasi-random standard normal points, ``(count, 6)``."""
    uniform = SobolEngine(DIMENSIONS, scramble=True, seed=seed).draw(count)
    return Normal(0.0, 1.0).icdf(uniform.clamp(1e-6, 1 - 1e-6))


def spread(policy: Policy, noise: Tensor) -> Tensor:
    """The points before the tanh that ``(K, 6)`` noise leads to for each of B images, ``(K, B, 6)``."""
    return policy.mean + torch.einsum("bij,kj->kbi", policy.scale_tril, noise)


def energies(energy: Energy, points: Tensor) -> Tensor:
    """``l`` at ``(K, B, 6)`` points: ``(K, B)``."""
    return torch.stack([energy(one) for one in points])


def optimum(energy: Energy, policy: Policy, prior_width: float, count: int) -> dict[str, Tensor]:
    """J of the prior, of the policy and of the exact optimum, for each image.

    Args:
        energy: ``l`` as a function of the points before the tanh.
        policy: the fitted one, of B images.
        prior_width: standard deviation of the prior before the tanh.
        count: points; half from the prior, half from the policy.

    Returns:
        ``(B,)`` tensors in nats: ``prior``, ``network``, ``best``, ``best_from_prior`` (by the prior's points alone),
        and ``kl_of_best``, the divergence of the optimum from the prior.
    """
    half = count // 2
    batch = len(policy.mean)
    from_prior = (prior_width * quasi_normal(half))[:, None].expand(half, batch, DIMENSIONS)
    points = torch.cat([from_prior, spread(policy, quasi_normal(half, seed=1))])
    found = energies(energy, points)  # (K, B)
    log_prior = Normal(0.0, prior_width).log_prob(points).sum(-1)
    log_policy = MultivariateNormal(policy.mean, scale_tril=policy.scale_tril, validate_args=False).log_prob(points)
    log_mixture = torch.logaddexp(log_prior, log_policy) - math.log(2)
    log_weights = log_prior - log_mixture - found
    log_z = log_weights.logsumexp(0) - math.log(len(points))
    expected = (log_weights.softmax(0) * found).sum(0)
    return {
        "prior": found[:half].mean(0),
        "network": objective(found[half:], policy, prior_width),
        "best": -log_z,
        "best_from_prior": math.log(half) - (-found[:half]).logsumexp(0),
        "kl_of_best": -log_z - expected,
    }


def objective(found: Tensor, policy: Policy, prior_width: float) -> Tensor:
    """J of a policy from ``l`` at its own points ``(K, B)``: ``(B,)``."""
    return losses.gaussian_kl_nats(policy.mean, policy.scale_tril, prior_width) + found.mean(0)


def best_gaussian(energy: Energy, start: Policy, prior_width: float, steps: int, draws: int = 8) -> Policy:
    """For each image its own best Gaussian before the tanh, by gradient descent on J from ``start``."""
    mean, lower = start.mean.detach().clone(), start.scale_tril.detach().tril(-1).clone()
    log_width = start.scale_tril.detach().diagonal(dim1=-2, dim2=-1).log()
    variables = [one.requires_grad_() for one in (mean, lower, log_width)]
    optimizer = torch.optim.Adam(variables, 0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    torch.manual_seed(0)
    for _ in range(steps):
        policy = Policy(mean, lower.tril(-1) + torch.diag_embed(log_width.exp()))
        noise = torch.randn(draws // 2, DIMENSIONS)
        found = energies(energy, spread(policy, torch.cat([noise, -noise])))
        optimizer.zero_grad()
        objective(found, policy, prior_width).sum().backward()  # images do not share parameters
        optimizer.step()
        schedule.step()
    return Policy(mean.detach(), (lower.tril(-1) + torch.diag_embed(log_width.exp())).detach())


def main() -> None:
    """Run what has no row yet."""
    options = parse()
    torch.set_num_threads(1)
    for seed in options.seeds:
        key = {name: getattr(options, name) for name in SETTING} | {"seed": seed, "code": digest("optimum")}
        if not has(options.out, key):
            append(options.out, {**key, **run(options, seed)})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="fashion-mini", help="fashion-mini, fashion-mnist, cifar10 or folder:DIR")
    parser.add_argument("--root", default="data")
    parser.add_argument("--download", action="store_true", help="fetch the data if they are not there")
    parser.add_argument("--size", type=int, default=1000, help="training images")
    parser.add_argument("--width", type=int, default=16, help="of the classifier")
    parser.add_argument("--limits", choices=("modest", "wide"), default="modest")
    parser.add_argument("--images", type=int, default=200, help="whose optimum is computed")
    parser.add_argument("--points", type=int, default=512, help="an image")
    parser.add_argument("--gaussian-images", type=int, default=48, help="whose own best Gaussian is searched, too")
    parser.add_argument("--steps", type=int, default=FitConfig().steps, help="of the fit")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROWS)
    parser.set_defaults(held_on="unseen")  # what rows call held-out images; earlier ones have another choice
    return parser.parse_args()


def run(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Stage 1, the fit with stops on the way, and the optimum."""
    train, _ = load(options.data, options.root, options.download)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held_out, mine = train.take(order[:HELD_OUT]), train.take(order[HELD_OUT : HELD_OUT + options.size])
    torch.manual_seed(seed)
    classifier = SmallConvNet(int(mine.labels.max()) + 1, mine.images.shape[1], options.width)
    classifier.to(memory_format=torch.channels_last)
    train_classifier(classifier, mine.loader(64, shuffle=True), epochs=40, seed=seed, progress=False)
    classifier.requires_grad_(False)
    start = time.perf_counter()
    problem, networks = fitted(classifier, mine, held_out, options, seed)
    fit_seconds = time.perf_counter() - start
    return {"fit_seconds": fit_seconds, **judge(problem, networks, options)}


def fitted(
    classifier: nn.Module, mine: Images, held_out: Images, options: argparse.Namespace, seed: int
) -> tuple[Problem, dict[int, LocalizationNetwork]]:
    """The fit, the networks on its way by their step, and the objective as it stands at the end."""
    config = FitConfig(steps=options.steps)
    limits = AffineLimits.wide() if options.limits == "wide" else AffineLimits.modest()
    padding = "zeros" if mine.images.shape[1] == 1 else "reflection"
    torch.manual_seed(seed)
    network = LocalizationNetwork(mine.images.shape[1])
    augment = LearnedAffineAugment(limits, localization=network, padding_mode=padding)
    networks = {0: copy.deepcopy(network)}
    loaders = {"loader": mine.loader(64, shuffle=True), "val_loader": held_out.loader(200)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # of a fit that is stopped on its way
        kept = {"checkpoint": folder, "resume": True, "progress": False}
        for part in (16, 8, 4, 2, 1):
            stop = options.steps // part
            augment.fit(classifier, **loaders, config=config, seed=seed, max_steps=stop, **kept)
            networks[stop] = copy.deepcopy(augment.localization)
        # the dual variable of the last step, and the temperature, stand in the checkpoint alone
        state = torch.load(Path(folder) / "fit.pt", weights_only=True)["fitter"]
    some = held_out.take(torch.arange(options.images))
    dual = math.exp(state["log_dual"])
    return Problem(augment, classifier, config, dual, state["temperature"], some.images, some.labels), networks


def judge(problem: Problem, networks: dict[int, LocalizationNetwork], options: argparse.Namespace) -> dict[str, Any]:
    """Regret of the network, on its way and at its end, and what of it the Gaussian family is to blame for."""
    with torch.no_grad():
        last = networks[options.steps](problem.images)
        found = optimum(problem.energy, last, PRIOR_WIDTH, options.points)
        noise = quasi_normal(32, seed=2)
        on_the_way = {step: cost(problem, network(problem.images), noise) for step, network in networks.items()}
    few = options.gaussian_images
    start, some = Policy(last.mean[:few], last.scale_tril[:few]), problem.some(few)
    gaussian = best_gaussian(some.energy, start, PRIOR_WIDTH, steps=100)
    with torch.no_grad():
        values = cost(some, gaussian, quasi_normal(options.points // 2, seed=1))
    gap = found["prior"] - found["best"]
    return {
        "dual": problem.dual,
        "temperature": problem.temperature,
        "target": problem.augment.history.info["target"],
        **{name: float(value.mean()) for name, value in found.items()},
        "gap": float(gap.mean()),
        "regret": float((found["network"] - found["best"]).mean()),
        "regret_by_step": {str(step): float((one - found["best"]).mean()) for step, one in on_the_way.items()},
        "few_gap": float(gap[:few].mean()),
        "few_regret": float((found["network"] - found["best"])[:few].mean()),
        "few_regret_of_gaussian": float((values - found["best"][:few]).mean()),
    }


def cost(problem: Problem, policy: Policy, noise: Tensor) -> Tensor:
    """J of the policies of a problem's images, from the points of this noise: ``(B,)``."""
    return objective(energies(problem.energy, spread(policy, noise)), policy, PRIOR_WIDTH)


if __name__ == "__main__":
    main()
