"""The transform itself: one matrix an image, drawn once a sample and applied to everything in it."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from enum import Enum
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torchvision.transforms import v2

from learned_affine._checks import check_batch, check_type
from learned_affine.geometry.limits import AffineLimits
from learned_affine.geometry.parameters import AffineParameters, is_traced
from learned_affine.geometry.warp import Fill, Interpolation, PaddingMode, in_full_precision
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.policy.thumbnail import has_alpha
from learned_affine.transforms.kernels import apply_kernel, warp_rows
from learned_affine.transforms.lists import each_sample
from learned_affine.transforms.pil import in_colour
from learned_affine.transforms.sample import (
    SampleParameters,
    all_square,
    as_batch,
    assign_labels,
    check_parameters,
    check_sample,
    check_shape,
    first_image,
    some_of,
    take,
    which_are_still,
    without_odd_turns,
)
from learned_affine.transforms.sampling import CHECKS, Sampling
from learned_affine.transforms.streams import Stream, stream_of


class PolicyTransform(v2.Transform):
    """The transform without its fit; the arguments are those of ``LearnedAffineAugment``."""

    def __init__(
        self,
        limits: AffineLimits | None = None,
        *,
        localization: LocalizationNetwork | RawHead | None = None,
        p: float = 0.5,
        strength: float = 1.0,
        deterministic: bool = False,
        interpolation: Interpolation | Enum = "bilinear",
        padding_mode: PaddingMode = "reflection",
        fill: Fill | Mapping[Any, Fill] = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.limits = AffineLimits() if limits is None else limits
        network = LocalizationNetwork(symmetries=self.limits.symmetries) if localization is None else localization
        check_type("localization", network, LocalizationNetwork | RawHead, "a LocalizationNetwork or a RawHead")
        self.localization = network.eval().requires_grad_(False)
        self.p, self.strength, self.deterministic = p, strength, deterministic
        self.fill, self.interpolation, self.padding_mode = fill, interpolation, padding_mode
        self.generator = generator
        self.history: Any = None
        self._last: list[SampleParameters] = []  # what was drawn in the last call, sample by sample

    def __setattr__(self, name: str, value: Any) -> None:
        if name in CHECKS:
            value = CHECKS[name](self, value)
        super().__setattr__(name, value)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        # in torch's metadata, where versions are: another key would be unexpected or missing for whoever loads by keys
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]]["limits"] = dataclasses.asdict(self.limits)

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *args: Any) -> None:
        super()._load_from_state_dict(state, prefix, metadata, *args)
        own = dataclasses.asdict(self.limits)
        others = {name: value for name, value in metadata.get("limits", {}).items() if own.get(name, value) != value}
        if others:
            said = ", ".join(f"limits.{name}={value} (here it is {own[name]})" for name, value in others.items())
            warnings.warn(
                f"the state is that of a policy within other limits, {said}, and its draws scale with the limits: "
                "set the limits to those, unless this is meant",
                UserWarning,
                stacklevel=4,
            )

    def __call__(self, *inputs: Any) -> Any:
        """Transform a sample; in a batch with targets each label follows its own image."""
        if len(inputs) == 1 and isinstance(inputs[0], Tensor | PIL.Image.Image):
            return super().__call__(*inputs)
        parts: list[SampleParameters] = []

        def transform(part: Any, row: int, rows: int) -> Any:
            done = super(PolicyTransform, self).__call__(assign_labels(part))
            parts.extend(self._last)
            return done

        done = each_sample(inputs[0] if len(inputs) == 1 else inputs, transform)
        self._last = parts
        return done

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Refuse what would otherwise be augmented wrongly, and warn where there is nothing to augment."""
        check_sample(flat_inputs)

    @torch.no_grad()
    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one set of parameters per image for the whole sample; none for the images that ``p`` leaves alone."""
        image, self._last = first_image(flat_inputs), []
        if image is None:
            return {"drawn": None}
        seen = in_colour(image) if isinstance(image, PIL.Image.Image) else image
        images = as_batch(seen)  # (B, C, H, W)
        count = len(images)
        own = self._generator()
        options: dict[str, Any] = {} if own is None else {"generator": own}  # see Policy.noise
        chosen = torch.rand(count, device="cpu", **options) < self.p if 0 < self.p < 1 else None
        noise = self.noise(count)
        if is_traced():
            return {"drawn": self._draw_all(images, noise, chosen)}
        rows = None if chosen is None else chosen.nonzero().squeeze(1)
        if self.p == 0 or (rows is not None and len(rows) == 0):
            self._last = [SampleParameters(AffineParameters.identity(count), None, count)]
            return {"drawn": None}
        rows = None if rows is None or len(rows) == count else rows
        taken = take(images, rows)
        looked_at = self._looked_at(images, rows, taken)
        drawn = self.draw_parameters(looked_at, noise if noise is None or rows is None else noise[rows])
        symmetries = self.limits.allowed_symmetries(*images.shape[-2:])
        if 1 in symmetries and not all_square(flat_inputs):
            drawn, symmetries = without_odd_turns(drawn), tuple(code for code in symmetries if code % 2 == 0)
        self._last = [SampleParameters(drawn, rows, count)]
        has_graph = isinstance(image, Tensor) and image.requires_grad  # what is taken here, without grad, would cut it
        observed = None if has_graph or seen is not image else (image, taken)
        bounded = not isinstance(self.localization, RawHead)
        nothing_moves = self.strength == 0 or (bounded and not any(self.limits.extent()))
        still = which_are_still(drawn, nothing_moves) if nothing_moves or self._is_deterministic else None
        return {"drawn": SampleParameters(drawn, rows, count, observed, still, symmetries=symmetries)}

    def _draw_all(self, images: Tensor, noise: Tensor | None, chosen: Tensor | None) -> SampleParameters | None:
        # for every image: in a compiled graph no shape may depend on which images are chosen
        if self.p == 0:
            return None
        drawn = self.draw_parameters(self._looked_at(images, None, take(images, None)), noise)
        if chosen is not None:
            there = chosen.to(images.device)
            identity = AffineParameters.identity(len(images), images.device)
            drawn = drawn.map_all(lambda new, old: torch.where(there, new, old), identity)
        # elsewhere than in a compiled graph these are values that end with it
        new = SampleParameters(drawn, None, len(images), chosen=chosen)
        self._last = [new] if torch.compiler.is_dynamo_compiling() else []
        return new

    def _looked_at(self, images: Tensor, rows: Tensor | None, taken: Tensor) -> Tensor:
        """What the network gets: integers with an alpha as they are, since their range says what is opaque."""
        if images.is_floating_point() or not has_alpha(images, self.localization.channels):
            return taken
        return some_of(images, rows)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Warp one item of the sample."""
        drawn: SampleParameters | None = params["drawn"]
        return inpt if drawn is None else apply_kernel(inpt, drawn, self.sampling)

    @property
    def sampling(self) -> Sampling:
        """How pixels are sampled."""
        return Sampling(str(self.interpolation), self.padding_mode, self.fill)

    @property
    def last_parameters(self) -> AffineParameters | None:
        """What was done to each image of the last call: the identity where ``p`` left one alone; None before a call."""
        if not self._last:
            return None
        each = [drawn.whole() for drawn in self._last]
        device = next((one.angle.device for one in each if one.angle.device.type != "cpu"), "cpu")
        return AffineParameters.cat([one.to(device) for one in each])

    @torch.no_grad()
    def sample_parameters(self, images: Tensor) -> AffineParameters:
        """Draw from the policy of each of ``(B, C, H, W)`` images, whatever ``p`` is; the result is on their device."""
        check_batch("images", images)
        return self.draw_parameters(images, self.noise(len(images)))

    @torch.no_grad()
    def policy(self, images: Tensor) -> Policy | None:
        """The distribution of each of ``(B, C, H, W)`` images; None for the paper's network, which has none."""
        check_batch("images", images)
        if isinstance(self.localization, RawHead):
            return None
        with in_full_precision(images):
            self._follow(images)
            return self.localization(images, self.limits)

    def warp(self, images: Tensor, parameters: AffineParameters) -> Tensor:
        """Warp ``(B, C, H, W)`` images by their parameters; integers are rounded. Differentiable in both, if floating.

        Raises:
            TypeError, ValueError: if one is no batch, lengths differ, or a symmetry does not keep the images' shape.
        """
        check_batch("images", images)
        parameters = check_parameters(parameters, len(images)).to(images.device)
        check_shape(parameters, images.shape[-2:])
        differentiable = torch.is_grad_enabled() and images.is_floating_point()
        has_graph = differentiable and any(value.requires_grad for value in (images, *parameters.tensors()))
        still = None if has_graph else which_are_still(parameters)  # copied pixels have no gradient in the parameters
        return warp_rows(images, SampleParameters(parameters, None, len(images), still=still), self.sampling.of(Tensor))

    @torch.no_grad()
    def apply(self, *sample: Any, parameters: AffineParameters | None = None) -> Any:
        """Replay parameters on any sample, ``apply(sample, parameters)``: images and labels together, or labels alone.

        Called by ``nn.Module`` itself with a function (``module.apply(fn)``), it does what it does there.

        Raises:
            TypeError, ValueError: if the parameters are not those of the sample's images, or do not keep their shape.
        """
        if parameters is None and len(sample) == 1 and callable(sample[0]) and not isinstance(sample[0], Tensor):
            return super().apply(sample[0])
        if parameters is None and sample:
            *sample, parameters = sample  # type: ignore[assignment]
        given = check_type("parameters", parameters, AffineParameters, "AffineParameters")

        def replay(part: Any, row: int, rows: int) -> Any:
            return self._replay(part, given if rows == 1 else check_parameters(given, rows)[row])

        return each_sample(sample[0] if len(sample) == 1 else tuple(sample), replay)

    def _replay(self, sample: Any, parameters: AffineParameters) -> Any:
        leaves = pytree.tree_leaves(sample)
        image = first_image(leaves)
        check_sample(leaves, labels_alone=True)
        count = len(parameters) if image is None else len(as_batch(image))
        parameters = check_parameters(parameters, count)
        flat, spec = pytree.tree_flatten(assign_labels(sample, count))
        moved = (parameters.displacement() > 0).cpu()
        rows = None if bool(moved.all()) else moved.nonzero().squeeze(1)
        some = parameters if rows is None else parameters[rows]
        drawn = SampleParameters(some, rows, count, still=which_are_still(some))
        params = {"drawn": drawn if bool(moved.any()) else None}
        wanted = self._needs_transform_list(flat)
        done = [self.transform(item, params) if want else item for item, want in zip(flat, wanted, strict=True)]
        return pytree.tree_unflatten(done, spec)

    @staticmethod
    def invert(parameters: AffineParameters, height: int = 1, width: int = 1) -> AffineParameters:
        """The parameters that undo ``parameters``; of ``height`` and ``width`` only the ratio matters."""
        return parameters.inverse(height, width)

    @property
    def _is_deterministic(self) -> bool:
        return self.deterministic or self.localization.deterministic

    def noise(self, count: int, generator: torch.Generator | None = None) -> Tensor | None:
        """The noise of ``count`` images, from a generator, else its own; None where there is none in a draw."""
        network = self.localization
        if self._is_deterministic or isinstance(network, RawHead):
            return None
        return network.noise(count, self.limits, self._generator() if generator is None else generator)

    def draw_parameters(self, images: Tensor, noise: Tensor | None) -> AffineParameters:
        """Parameters of ``(B, C, H, W)`` images from their noise, or the mode; the network follows the device."""
        noise = None if noise is None else noise.to(images.device, non_blocking=True)
        with in_full_precision(images):  # which knows what devices there are: a network on another could not come back
            self._follow(images)
            return self.localization.draw(images, noise, self.limits, self.strength)

    def _follow(self, images: Tensor) -> None:
        if self.localization.head.weight.device != images.device:
            self.localization.to(images.device)

    def _generator(self) -> torch.Generator | None:
        """The generator to draw from; a DataLoader worker derives its own from it and the worker's seed."""
        worker = None if self.generator is None else torch.utils.data.get_worker_info()
        if self.generator is None or worker is None:
            return self.generator
        return stream_of(self.generator).of_worker(self.generator.initial_seed(), worker.seed)

    def __getstate__(self) -> dict[str, Any]:
        # the generator's stream goes along in its place, and arrives as a generator; the last draw stays
        shared = self.generator if self.generator is None else stream_of(self.generator)
        return dict(self.__dict__, generator=shared, _last=[])

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = state["generator"]  # a shallow copy gets what was meant to travel, and has the generator itself
        super().__setstate__(dict(state, generator=own.generator() if isinstance(own, Stream) else own))

    def __repr__(self) -> str:
        limits = self.limits
        extra = f", fill={self.fill}" if self.fill != 0.0 else ""
        extra += f", interpolation={self.interpolation!r}" if self.interpolation != "bilinear" else ""
        mode = ", deterministic=True" if self._is_deterministic else ""
        fitted = "fitted" if self.history is not None else "not fitted"
        return (
            f"{type(self).__name__}({fitted}, limits=(±{limits.angle:g}°, ×{limits.scale:g}, shear {limits.shear:g}°, "
            f"shift {limits.translate:.0%}, symmetries={limits.symmetries!r}), p={self.p:g}, "
            f"strength={self.strength:g}, padding_mode={self.padding_mode!r}{extra}{mode})"
        )
