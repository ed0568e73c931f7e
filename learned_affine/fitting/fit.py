"""The fit: learn what each transform costs each image, then price it. README.md beside this file has the reasons."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from learned_affine._checks import warn_caller
from learned_affine.config import FitConfig
from learned_affine.diagnostics.checks import FitWarning
from learned_affine.diagnostics.measures import policy_measures, symmetry_measures, variance_between_images
from learned_affine.fitting.adversary import Adversary
from learned_affine.fitting.history import FitHistory
from learned_affine.fitting.judge import Judge, Judged
from learned_affine.fitting.learn import Draws, Learner, price_for
from learned_affine.fitting.symmetries import SymmetryCosts, class_table, evenly, judge_symmetries, recognised_as
from learned_affine.geometry.parameters import AffineParameters
from learned_affine.policy.costs import MOST, Costs
from learned_affine.policy.distribution import DIMENSIONS, Policy
from learned_affine.policy.network import NUMBERS, LocalizationNetwork

Round = dict[str, float]
HELD_SHARE = 3 / 8  # of a round's draws
WIDER, WIDER_SHARE = 2.2, 1 / 2  # of the draws: what lies just outside of the policy must be known, too
FIRST_PRICE = 3.0  # over the budget
FARTHEST, FARTHEST_SETTLING = 1.0, 1.5  # steps of the logarithm of the price
SETTLING, PRICED_ON, SETTLING_DRAWS = 2, 400, 2  # rounds that only price; on so many held-out images; draws of each
LARGEST_RATIO, LEAST_COST = 10.0, 0.02  # of what draws cost to what was predicted; and in budgets
PREDICTED_DRAWS = 16
LEAST_IMAGES, MOST_IMAGES, FOR_EACH = 3000, 9000, 4  # judged ones, in all
SYMMETRY_SHARE, HELD_MOVED, FEWEST_MOVED = 0.3, 2 / 3, 64  # of them, on top; of images in symmetries; of these
MOST_SECONDS, LEAST_SHARE = 90.0, 0.02
BAD_SHARE = 0.1  # of a round's costs that may be not finite
ADVERSARY_STEPS, ADVERSARY_BATCH = 4, 96  # a round


class Fit:
    """A fit of a network to a judge's images, under way; ``budget`` is in nats, and ``seed`` that of the draws."""

    def __init__(self, judge: Judge, network: LocalizationNetwork, config: FitConfig, budget: float, seed: int) -> None:
        self.judge, self.network, self.config, self.budget = judge, network, config, budget
        self.limits, self.pool, self.processes = judge.augment.limits, judge.pool, judge.processes
        self.generator = torch.Generator().manual_seed(seed % 2**63)
        self.history, self.began = FitHistory(), time.perf_counter()
        self.symmetries: SymmetryCosts | None = None
        self.priced_on = self.pool.some(self.pool.held_out, PRICED_ON, self.generator, again=False)
        self.adversary = Adversary(network.channels, judge.device) if config.adversarial_weight > 0 else None
        observations = self._observe()
        self.draws = Draws(judge.device)
        have_one_form = len({one.shape for one in judge.outputs}) == 1 and not judge.model.task.is_loss
        known = torch.stack(judge.outputs) if have_one_form else None
        self.learner = Learner(network, observations, known, config.learning_rate, self.generator)
        self.share, self.finished = 1.0, self._state()

    def run(self, show: Callable[[Round], None]) -> None:
        """Fit the network, and call ``show`` after each round; whatever ends it, the last finished round stays."""
        enough = min(MOST_IMAGES, max(LEAST_IMAGES, FOR_EACH * len(self.pool.images)))
        images = enough if self.config.images is None else self.config.images
        self.network.reprice(FIRST_PRICE / self.budget)
        try:
            self._judge_symmetries(int(SYMMETRY_SHARE * images))
            self.finished = self._state()
            for entry in self._rounds(images // self.config.rounds):
                self.history.add(**entry)
                self.finished = self._state()
                show(entry)
        finally:
            self._end()

    def _rounds(self, images: int) -> Iterator[Round]:
        """What was measured in each round, until one in which too many costs are not finite."""
        for number in range(self.config.rounds):
            entry = self._round(number, self._affordable(number, images))
            if entry is None:
                return
            yield entry
        yield from self._settle(self.config.rounds)

    @torch.no_grad()
    def _observe(self) -> Tensor:
        """What the network uses of each image of the pool."""
        every = torch.arange(len(self.pool.images))
        parts = [(places, self.network.observe(self._here(images))) for places, images, _ in self.pool.batches(every)]
        order = torch.cat([places for places, _ in parts]).argsort()
        return torch.cat([seen for _, seen in parts])[self._here(order)]

    def _judge_symmetries(self, images: int) -> None:
        """Judge some images, two thirds of them held-out ones, in each symmetry that they all can have."""
        sizes = {tuple(image.shape[-2:]) for image in self.pool.images}
        allowed = [self.network.allowed(self.limits, *size) for size in sizes]
        codes = tuple(code for code in allowed[0] if all(code in one for one in allowed))
        if len(codes) == 1:
            return
        count = max(FEWEST_MOVED, images // (len(codes) - 1))
        classes = self.judge.classes
        held_out = evenly(self.pool.held_out, classes, round(HELD_MOVED * count), self.generator)
        training = evenly(self.pool.training, classes, count - len(held_out), self.generator)
        rows = torch.cat([held_out, training])
        self.symmetries = judge_symmetries(self.judge, rows, len(held_out), codes, self.budget)
        self.network.reprice(self.network.price, self.symmetries.free)
        with torch.no_grad():  # what an earlier fit forbade is learned anew
            self.network.head.bias[NUMBERS:].clamp_(max=MOST)

    # -- a round ------------------------------------------------------------------------------------------------------

    def _round(self, number: int, count: int) -> Round | None:
        """Draw, judge, learn, price; None where too much was not finite."""
        began, pool, held = time.perf_counter(), self.pool, round(HELD_SHARE * count)
        shares = ((pool.held_out, held), (pool.training, count - held))
        rows = torch.cat([pool.some(some, share, self.generator) for some, share in shares])
        z, narrow = self._draw(rows)
        drawn = self.limits.parameters(torch.tanh(z))
        score = self._teach_adversary(rows, drawn)
        judged = self.judge(rows, drawn, self.adversary)
        good = judged.cost.isfinite()
        if not self._is_good(number, good):
            return None
        bonus = self.config.entropy_weight * judged.entropy - self.config.adversarial_weight * judged.score
        self.draws.add(number, rows[good], z[good], judged.cost[good], bonus[good].nan_to_num())
        error = self.learner.learn(self.draws, self.symmetries, self.network.price)
        shown = (narrow & good & (rows < len(pool.held_out))).nonzero().flatten()
        entry = self._entry(began, judged, shown, drawn)
        expected = self._costs(rows[shown]).without_gains(self._here(z[shown]))
        self._reprice(float(judged.cost[shown].mean()), float(expected.mean()))
        return entry | {"loss": error, "discriminator_loss": score}

    def _draw(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Draws ``(N, 6)`` before the tanh from the policy, and which of them are: some are wider."""
        policy, noise = self._policy(rows), Policy.noise(len(rows), generator=self.generator)
        narrow = torch.rand(len(rows), generator=self.generator) >= WIDER_SHARE
        noise[~narrow] *= WIDER
        return policy.before_tanh(self._here(noise)).cpu(), narrow

    def _is_good(self, number: int, good: Tensor) -> bool:
        """Whether enough costs are finite; a warning where they are not."""
        bad = int((~good).sum())
        self.history.info["not_finite"] = self.history.info.get("not_finite", 0) + bad
        if bad <= BAD_SHARE * len(good):
            return True
        text = (
            f"the fit stopped in round {number + 1} since {bad} of {len(good)} costs were not finite; the policy of "
            "the last good round is kept. Look at what the classifier gives for warped images."
        )
        warn_caller(FitWarning("stopped-fit", text))
        return False

    def _teach_adversary(self, rows: Tensor, drawn: AffineParameters) -> float:
        """Some steps of the discriminator on some of the round's draws; its last loss."""
        loss = math.nan
        if self.adversary is None:
            return loss
        chosen = torch.randperm(len(rows), generator=self.generator)[: ADVERSARY_STEPS * ADVERSARY_BATCH]
        for some in chosen.split(ADVERSARY_BATCH):
            for places, images, _ in self.pool.batches(rows[some]):
                images = self._here(images)
                loss = self.adversary.learn(images, self.judge.augment.warp(images, drawn[some[places]]))
        return loss

    # -- the price ----------------------------------------------------------------------------------------------------

    def _reprice(self, measured: float, expected: float, farthest: float = FARTHEST) -> None:
        """Move the price to where held-out images are predicted to cost the budget, after what draws did cost."""
        ratio = max(measured, LEAST_COST * self.budget) / expected if expected > 0 else 1.0
        ratio = min(LARGEST_RATIO, max(1 / LARGEST_RATIO, ratio))
        predicted = self._cost_by_price()
        wanted = price_for(self.budget, lambda price: ratio * predicted(price))
        step = min(farthest, max(-farthest, math.log(wanted / self.network.price)))
        self.network.price = self.processes.from_main(self.network.price * math.exp(step))

    def _settle(self, before: int) -> Iterator[Round]:
        """Rounds that only judge and price, with symmetries and warps together; the last one only judges.

        Costs are compared with what the same draws were predicted to cost, in all of these rounds so far. So the luck
        of the draws cancels, also in the cost of the last round, which is what the fit came to.
        """
        rows = self.pool.some(self.pool.held_out, SETTLING_DRAWS * PRICED_ON, self.generator)
        measured = expected = 0.0
        for number in range(before, before + SETTLING + 1):
            began = time.perf_counter()
            noise = Policy.noise(len(rows), symmetries=self.symmetries is not None, generator=self.generator)
            drawn = self._policy(rows).draw(self._here(noise), self.limits).to("cpu")
            judged = self.judge(rows, drawn, self.adversary)
            finite = judged.cost.isfinite()
            if not self._is_good(number, finite):
                return
            good = finite.nonzero().flatten()
            entry = self._entry(began, judged, good, drawn)
            measured += entry["cost"]
            expected += float(self._predicted_costs(rows, noise, drawn.codes())[good].mean())
            if number < before + SETTLING:
                self._reprice(measured, expected, FARTHEST_SETTLING)
            elif expected > 0:
                entry["cost"] = measured / expected * self._cost_by_price()(self.network.price)
            yield entry

    def _cost_by_price(self) -> Callable[[float], float]:
        """What warps and symmetries are predicted to cost held-out images in the mean, in nats, at a price.

        The network is asked once, since only the price changes while one is looked for.
        """
        costs, allowed = self._costs(self.priced_on), self._allowed()
        own = torch.Generator().manual_seed(0)
        noise = self._here(Policy.noise(PREDICTED_DRAWS, len(self.priced_on), generator=own))

        def predicted(price: float) -> float:
            policy = costs.at(price, self.network.free, allowed)
            warps = costs.without_gains(policy.before_tanh(noise)).mean()
            return float(warps + (policy.chances * costs.of_symmetries()).sum(1).mean())

        return predicted

    def _predicted_costs(self, rows: Tensor, noise: Tensor, codes: Tensor) -> Tensor:
        """What draws from this noise, with symmetries of these codes, are predicted to cost, ``(N,)`` nats."""
        costs, z = self._costs(rows), self._policy(rows).before_tanh(self._here(noise[:, :DIMENSIONS]))
        symmetries = costs.of_symmetries().gather(1, self._here(codes)[:, None])
        return (costs.without_gains(z) + symmetries.squeeze(1)).cpu()

    # -- what was found -----------------------------------------------------------------------------------------------

    def _entry(self, began: float, judged: Judged, some: Tensor, drawn: AffineParameters) -> Round:
        """What the history has of a round: measured on those of its draws that are named."""
        policy = self._policy(self.priced_on)
        height, width = self.pool.images[0].shape[-2:]
        means = {name: float(getattr(judged, name)[some].mean()) for name in ("cost", "entropy", "right", "agrees")}
        return {
            "cost": means["cost"],
            "budget": self.budget,
            "price": self.network.price,
            "accuracy": means["right"],
            "agreement": means["agrees"],
            "entropy": means["entropy"],
            "kl": float(policy.kl().mean()),
            "symmetry_kl": float(policy.symmetry_kl().mean()),
            **symmetry_measures(policy.chances),
            "between_image_variance": variance_between_images(policy, self.limits),
            **policy_measures(drawn[some.tolist()], height, width),
            "seconds": time.perf_counter() - began,
        }

    def _state(self) -> tuple[float, dict[str, Tensor]]:
        return self.network.price, {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def _end(self) -> None:
        """The network as the last finished round left it, with its price, and what was measured of the symmetries."""
        self.network.price, state = self.finished
        self.network.load_state_dict(state)
        if self.symmetries is None:
            self.network.reprice(1.0)
            return
        costs = self.symmetries
        self.history.info["classes_moved"] = class_table(costs, self._policy(costs.rows))
        self.history.info["recognised"] = {
            str(code): recognised_as(costs, code) for code in (1, 4) if code in costs.allowed
        }
        self.network.reprice(1.0)
        self.network.forbid([code for code in self.network.codes if code not in costs.allowed])

    # -- small things -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _costs(self, rows: Tensor) -> Costs:
        return self.learner.costs(self._here(rows))

    def _policy(self, rows: Tensor) -> Policy:
        return self._costs(rows).at(self.network.price, self.network.free, self._allowed())

    def _allowed(self) -> tuple[int, ...]:
        return (0,) if self.symmetries is None else self.symmetries.allowed

    def _here(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.judge.device)

    def _affordable(self, number: int, count: int) -> int:
        """The images of a round: fewer where the rounds so far show that all would take too long."""
        if number > 0:
            spent = sum(self.history["seconds"])
            share = (MOST_SECONDS - spent) / (self.config.rounds - number) / (spent / number) * self.share
        elif self.symmetries is not None:  # whose judging took this share of what the rounds will take
            share = MOST_SECONDS / max((time.perf_counter() - self.began) / SYMMETRY_SHARE, 1e-9)
        else:
            share = 1.0
        self.share = self.processes.from_main(min(1.0, max(share, LEAST_SHARE)))
        return max(2, round(self.share * count))
