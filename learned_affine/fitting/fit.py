"""The fit: measure the target, then judge, learn and price in each round. README.md beside this has the reasons."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FitWarning, check_set_up
from learned_affine.diagnostics.measures import policy_measures, symmetry_measures, variance_between_images
from learned_affine.fitting.adversary import Adversary
from learned_affine.fitting.history import Progress, Round
from learned_affine.fitting.judge import Judge, Judged
from learned_affine.fitting.learn import CHEAPEST, Draws, Learner, price_for
from learned_affine.fitting.processes import Processes
from learned_affine.fitting.resampling import charge_resampling
from learned_affine.fitting.symmetries import FREE, class_table, recognised_as, try_symmetries
from learned_affine.fitting.target import Batches, measure_target
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.policy.costs import MOST
from learned_affine.policy.distribution import DIMENSIONS, Policy
from learned_affine.policy.network import NUMBERS, LocalizationNetwork
from learned_affine.tasks.model import Model
from learned_affine.tasks.pool import CPU
from learned_affine.transforms.transform import PolicyTransform

LEAST_IMAGES, MOST_IMAGES, FOR_EACH = 3000, 9000, 4  # judged ones, in all
SYMMETRY_SHARE = 0.3  # of them, on top
IN_UNITS = ("target", "held_out_cost", "training_cost", "gap_error")  # of the loss itself
MOST_SECONDS, LEAST_SHARE = 90.0, 0.02
HELD_SHARE = 3 / 8  # of a round's draws
WIDER, WIDER_SHARE = 2.2, 1 / 2  # of the draws: what lies just outside of the policy must be known, too
BAD_SHARE = 0.1  # of a round's costs that may be not finite
FIRST_PRICE = 3.0  # over the budget
WITHOUT_WARPS = 2.0  # likewise, the lowest where there are only symmetries: what fits with warps come to
FARTHEST, FARTHEST_SETTLING = 1.0, 1.5  # steps of the logarithm of the price
LARGEST_RATIO, LEAST_COST = 10.0, 0.02  # of what draws cost to what was predicted; and in budgets
PRICED_ON = 400  # held-out images
SETTLING, SETTLING_DRAWS = 2, 2  # rounds that only price; draws of each held-out image


def fit_to_budget(
    augment: PolicyTransform,
    model: Model,
    config: FitConfig,
    training: Batches,
    held_out: Batches | None,
    interpolations: Sequence[str],
    processes: Processes,
    seed: int,
    progress: Progress,
) -> None:
    """Measure the target, choose one of the interpolations, and fit the augmenter's network."""
    target, pool = measure_target(model, config, training, held_out, processes.device, seed)
    target, pool, model.temperature = processes.from_main((target, pool, model.temperature))
    judge = Judge(augment, model, pool, processes)
    if config.target is None and held_out is not None:  # a target of the user's own stays as it is
        target = charge_resampling(judge, target, seed, interpolations)
    augment.history, info = progress.history, progress.history.info
    info |= {"target": target.value, "target_source": target.source, **target.measures}
    if model.task.is_loss:  # which FitConfig.target takes in its own unit, and a fit counts in its mean
        info |= {name: model.temperature * info[name] for name in IN_UNITS if name in info}
    info |= {"held_on": "training" if held_out is None else "held-out", "processes": processes.count}
    info["chance"] = model.task.chance(pool.outputs)  # of more images than those that were probed
    progress.say(f"target {target.value:.4g} from {target.source}")
    check_set_up(info, progress.say)
    Fit(judge, config, target.budget, seed, progress).run()


def lowest_price(limits: AffineLimits) -> float:
    """Over the budget: higher the narrower the limits are, so that symmetries do not get what warps cannot spend.

    A flip that changes the label is wrong, however much of the budget is left.
    """
    pairs = zip(limits.extent(), AffineLimits().extent(), strict=True)
    spent = sum(min(1.0, own / usual) for own, usual in pairs) / DIMENSIONS
    return max(CHEAPEST, WITHOUT_WARPS * (1 - spent))


class TooFewCosts(Exception):
    """Of a round; an exception of its own, since one of a user's callback is passed on."""


class Fit:
    """A fit of a network to a judge's images, under way; ``budget`` is in nats, and ``seed`` that of the draws."""

    def __init__(self, judge: Judge, config: FitConfig, budget: float, seed: int, progress: Progress) -> None:
        network = judge.augment.localization
        assert isinstance(network, LocalizationNetwork)
        self.judge, self.network, self.config, self.budget = judge, network, config, budget
        self.limits, self.pool, self.device = judge.augment.limits, judge.pool, judge.processes.device
        self.progress, self.history = progress, progress.history
        self.generator = torch.Generator().manual_seed(seed % 2**63)
        self.began, self.share = time.perf_counter(), 1.0
        self.draws: list[Draws] = []
        self.priced_on = self.pool.some(self.pool.held_out, PRICED_ON, self.generator, again=False)
        self.cheapest = lowest_price(self.limits)
        self.adversary = Adversary(network.channels, self.device) if config.adversarial_weight > 0 else None
        outputs = None if judge.model.task.is_loss else judge.outputs
        self.learner = Learner(network, self._observe(), outputs, config.learning_rate, self.generator)
        self.finished = self._state()

    @torch.no_grad()
    def _observe(self) -> Tensor:
        """What the network uses of each image of the pool."""
        batches = self.pool.batches(torch.arange(len(self.pool.images), device=CPU))
        seen = [(places, self.network.observe(images.to(self.device))) for places, images, _ in batches]
        places, observed = zip(*seen, strict=True)
        return torch.cat(observed)[torch.cat(places).argsort()]

    def run(self) -> None:
        """Fit the network; whatever ends it, the last finished round stays."""
        rounds, enough = self.config.rounds, max(LEAST_IMAGES, FOR_EACH * len(self.pool.images))
        images = self.config.images or min(MOST_IMAGES, enough)
        self.network.reprice(FIRST_PRICE / self.budget)
        try:
            self._judge_symmetries(int(SYMMETRY_SHARE * images))
            self.finished = self._state()
            for _ in range(rounds):
                self._round(self._affordable(images // rounds))
            self._settle()
        except TooFewCosts as error:
            warn_caller(FitWarning("stopped-fit", str(error)))
        finally:
            self._end()

    def _judge_symmetries(self, images: int) -> None:
        found = self.learner.symmetries = try_symmetries(self.judge, self.network, images, self.generator)
        self.learner.allowed = (0,) if found is None else found.allowed
        if found is not None:
            self.network.reprice(self.network.price, FREE * self.budget)
            with torch.no_grad():  # what an earlier fit forbade is learned anew
                self.network.head.bias[NUMBERS:].clamp_(max=MOST)

    # -- a round ------------------------------------------------------------------------------------------------------

    def _round(self, count: int) -> None:
        """Draw, judge, learn, price."""
        began, pool, held = time.perf_counter(), self.pool, round(HELD_SHARE * count)
        shares = ((pool.held_out, held), (pool.training, count - held))
        rows = torch.cat([pool.some(some, share, self.generator) for some, share in shares])
        noise = Policy.noise(len(rows), generator=self.generator)
        narrow = torch.rand(len(rows), generator=self.generator, device=CPU) >= WIDER_SHARE
        noise[~narrow] *= WIDER
        z = self.learner.policy(self.learner.costs(rows)).before_tanh(noise.to(self.device)).cpu()
        drawn = self.limits.parameters(torch.tanh(z))
        discriminator_loss = self.judge.teach(self.adversary, rows, drawn, self.generator)
        judged = self.judge(rows, drawn, self.adversary)
        good = self._good(judged)
        bonus = self.config.entropy_weight * judged.entropy - self.config.adversarial_weight * judged.score
        self.draws.append(Draws(rows[good], z[good], judged.cost[good], bonus[good].nan_to_num()))
        error = self.learner.learn(self.draws)
        shown = (narrow & good & (rows < len(pool.held_out))).nonzero().flatten()
        entry = self._entry(began, judged, rows, shown, drawn)
        expected = self.learner.costs(rows[shown]).without_gains(z[shown].to(self.device))
        self._reprice(entry["cost"], float(expected.mean()))
        self._finish(entry | {"loss": error, "discriminator_loss": discriminator_loss})

    def _good(self, judged: Judged) -> Tensor:
        """Which costs are finite; where they are too few, the fit ends."""
        good = judged.cost.isfinite()
        bad = int((~good).sum())
        self.history.info["not_finite"] = self.history.info.get("not_finite", 0) + bad
        if bad > BAD_SHARE * len(good):
            raise TooFewCosts(
                f"the fit stopped in round {self.history.rounds + 1} since {bad} of {len(good)} costs were not finite; "
                "the policy of the last good round is kept. Look at what the classifier gives for warped images."
            )
        return good

    def _finish(self, entry: Round) -> None:
        self.finished = self._state()
        self.progress.add(entry)

    def _affordable(self, count: int) -> int:
        """The images of a round: fewer where the rounds so far show that all would take too long."""
        done, spent = self.history.rounds, sum(self.history["seconds"])
        if done > 0:
            self.share *= (MOST_SECONDS - spent) / (self.config.rounds - done) / (spent / done)
        elif self.learner.symmetries is not None:  # whose judging took this share of what the rounds will take
            self.share = MOST_SECONDS / max((time.perf_counter() - self.began) / SYMMETRY_SHARE, 1e-9)
        self.share = self.judge.processes.from_main(min(1.0, max(self.share, LEAST_SHARE)))
        return max(2, round(self.share * count))

    # -- the price ----------------------------------------------------------------------------------------------------

    def _reprice(self, measured: float, expected: float, farthest: float = FARTHEST) -> None:
        """Move the price to where held-out images are predicted to cost the budget, after what draws did cost."""
        ratio = max(measured, LEAST_COST * self.budget) / expected if expected > 0 else 1.0
        ratio = min(LARGEST_RATIO, max(1 / LARGEST_RATIO, ratio))
        predicted = self.learner.cost_by_price(self.priced_on)
        wanted = price_for(self.budget, lambda price: ratio * predicted(price), self.cheapest)
        step = min(farthest, max(-farthest, math.log(wanted / self.network.price)))
        self.network.price = self.judge.processes.from_main(self.network.price * math.exp(step))

    def _settle(self) -> None:
        """Rounds that only judge and price, with symmetries and warps together; the last one only judges.

        Costs are compared with what the same draws were predicted to cost, in all of these rounds so far. So the luck
        of the draws cancels, also in the cost of the last round, which is what the fit came to.
        """
        rows = self.pool.some(self.pool.held_out, SETTLING_DRAWS * PRICED_ON, self.generator)
        measured = expected = 0.0
        for left in reversed(range(SETTLING + 1)):
            began, costs = time.perf_counter(), self.learner.costs(rows)
            noise = self.network.noise(len(rows), self.limits, self.generator).to(self.device)
            policy = self.learner.policy(costs)
            drawn = policy.draw(noise, self.limits)
            judged = self.judge(rows, drawn.to("cpu"), self.adversary)
            good = self._good(judged).nonzero().flatten()
            entry = self._entry(began, judged, rows, good, drawn.to("cpu"))
            predicted = costs.without_gains(policy.before_tanh(noise[:, :DIMENSIONS]))
            predicted += costs.of_symmetries().gather(1, drawn.codes()[:, None]).squeeze(1)
            measured += entry["cost"]
            expected += float(predicted.cpu()[good].mean())
            if left:
                self._reprice(measured, expected, FARTHEST_SETTLING)
            elif expected > 0:
                entry["cost"] = measured / expected * self.learner.cost_by_price(self.priced_on)(self.network.price)
            self._finish(entry)

    # -- what was found -----------------------------------------------------------------------------------------------

    def _entry(self, began: float, judged: Judged, rows: Tensor, some: Tensor, drawn: AffineParameters) -> Round:
        """What the history has of a round: measured on some of its draws, of images in rows of the pool."""
        policy = self.learner.policy(self.learner.costs(self.priced_on))
        return {
            "cost": float(judged.cost[some].mean()),
            "budget": self.budget,
            "price": self.network.price,
            "accuracy": float(judged.right[some].mean()),
            "agreement": float(judged.agrees[some].mean()),
            "entropy": float(judged.entropy[some].mean()),
            "kl": float(policy.kl().mean()),
            "symmetry_kl": float(policy.symmetry_kl().mean()),
            **symmetry_measures(policy.chances),
            "between_image_variance": variance_between_images(policy, self.limits),
            **policy_measures(drawn[some.tolist()], [self.pool.images[row].shape[-2:] for row in rows[some].tolist()]),
            "seconds": time.perf_counter() - began,
        }

    def _state(self) -> tuple[float, dict[str, Tensor]]:
        return self.network.price, {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def _end(self) -> None:
        """The network as the last finished round left it, with its price, and what was measured of the symmetries."""
        self.network.price, state = self.finished
        self.network.load_state_dict(state)
        costs, info = self.learner.symmetries, self.history.info
        if costs is not None:
            info["classes_moved"] = class_table(costs, self.learner.policy(self.learner.costs(costs.rows)))
            info["recognised"] = {str(code): recognised_as(costs, code) for code in (1, 4) if code in costs.allowed}
        self.network.reprice(1.0)
        self.network.forbid([code for code in self.network.codes if code not in self.learner.allowed])
