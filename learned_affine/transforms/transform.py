"""The transform itself: one matrix an image, drawn once a sample and applied to everything in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torchvision.transforms import v2

from learned_affine._checks import check_batch, check_choice, check_range, shown
from learned_affine.geometry.parameters import AffineLimits, AffineParameters
from learned_affine.geometry.warp import (
    INTERPOLATIONS,
    PADDING_MODES,
    Fill,
    Interpolation,
    PaddingMode,
    in_full_precision,
    warp_images,
)
from learned_affine.policy.distribution import Policy
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.transforms.kernels import apply_kernel
from learned_affine.transforms.sample import SampleParameters, as_batch, first_image, has_labels, take
from learned_affine.transforms.sampling import Sampling, check_fill, fill_of


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
        interpolation: Interpolation = "bilinear",
        padding_mode: PaddingMode = "reflection",
        fill: Fill | Mapping[Any, Fill] = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if limits is not None and not isinstance(limits, AffineLimits):
            raise TypeError(f"limits must be AffineLimits, got {type(limits).__name__}")
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")
        if generator is not None and generator.device.type != "cpu":
            raise ValueError(f"generator must be on the CPU, where noise is drawn, got {generator.device}")
        self.limits = limits or AffineLimits()
        self.localization = (localization or LocalizationNetwork()).eval()
        self.p = check_range("p", p, 0.0, 1.0)
        self.strength = check_range("strength", strength, 0.0, 1.0)
        self.deterministic = bool(deterministic)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS)
        self.padding_mode = check_choice("padding_mode", padding_mode, PADDING_MODES)
        self.fill = check_fill(fill, padding_mode)
        self.generator = generator
        self.history: Any = None
        self.last_parameters: AffineParameters | None = None
        self._worker_generator: tuple[int, torch.Generator] | None = None

    # -- torchvision's hooks ------------------------------------------------------------------------------------------

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Refuse what would otherwise be augmented wrongly, and warn where there is nothing to augment."""
        if first_image(flat_inputs) is None:
            if has_labels(flat_inputs):
                raise ValueError("the sample must hold an image for its boxes, masks or key points to follow, got none")
            warnings.warn(f"no image to augment in the sample, got {_kinds(flat_inputs)}", UserWarning, stacklevel=4)

    @torch.no_grad()
    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one set of parameters an image for the whole sample; none for the images that ``p`` leaves alone."""
        image = first_image(flat_inputs)
        if image is None:
            return {"drawn": None}
        images = as_batch(image)  # (B, C, H, W)
        count = len(images)
        chosen = torch.rand(count, generator=self._generator()) < self.p if 0 < self.p < 1 else None
        noise = None if self._is_deterministic else Policy.noise(count, generator=self._generator())
        if self.p == 0 or (chosen is not None and not bool(chosen.any())):
            self.last_parameters = AffineParameters.identity(count)
            return {"drawn": None}
        rows = None if chosen is None or bool(chosen.all()) else chosen.nonzero().squeeze(1)
        taken = take(images, rows)
        drawn = self.draw_parameters(taken, noise if noise is None or rows is None else noise[rows])
        self.last_parameters = _scatter(drawn, rows, count)
        has_graph = isinstance(image, Tensor) and image.requires_grad  # which what is taken here, without grad, has not
        return {"drawn": SampleParameters(drawn, rows, count, flat_inputs, None if has_graph else (image, taken))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Warp one item of the sample."""
        drawn: SampleParameters | None = params["drawn"]
        if drawn is None:
            return inpt
        return apply_kernel(inpt, drawn, Sampling(self.interpolation, self.padding_mode, self.fill))

    # -- parameters in hand -------------------------------------------------------------------------------------------

    def sample_parameters(self, images: Tensor) -> AffineParameters:
        """Draw from the policy of each image, whatever ``p`` is. Differentiable.

        Args:
            images: ``(B, C, H, W)``.

        Returns:
            Parameters of ``B`` images, on their device.
        """
        check_batch("images", images)
        noise = None if self._is_deterministic else Policy.noise(len(images), generator=self._generator())
        return self.draw_parameters(images, noise)

    def warp(self, images: Tensor, parameters: AffineParameters) -> Tensor:
        """Warp ``(B, C, H, W)`` floating images by their parameters. Differentiable in both."""
        check_batch("images", images)
        if len(parameters) not in (1, len(images)):
            raise ValueError(f"parameters must be those of 1 or {len(images)} images, got {len(parameters)}")
        dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
        matrix = parameters.map(lambda value: value.to(images.device, dtype)).matrix(*images.shape[-2:])
        fill = fill_of(torch.Tensor, self.fill)
        return warp_images(images, matrix.expand(len(images), 2, 3), self.interpolation, self.padding_mode, fill)

    @torch.no_grad()
    def apply(self, *sample: Any, parameters: AffineParameters | None = None) -> Any:
        """Replay parameters on any sample: ``apply(sample, parameters)``. Images and labels move together.

        Called by ``nn.Module`` itself with a function (``module.apply(fn)``), it does what it does there.
        """
        if parameters is None and len(sample) == 1 and callable(sample[0]) and not isinstance(sample[0], Tensor):
            return super().apply(sample[0])
        if parameters is None:
            *sample, parameters = sample  # type: ignore[assignment]
        if not isinstance(parameters, AffineParameters):
            raise TypeError(f"parameters must be AffineParameters, got {shown(parameters)}")
        flat, spec = pytree.tree_flatten(sample[0] if len(sample) == 1 else tuple(sample))
        self.check_inputs(flat)
        wanted = self._needs_transform_list(flat)
        used = [item for item, want in zip(flat, wanted, strict=True) if want]
        image = first_image(used)
        if image is None:
            return sample[0] if len(sample) == 1 else tuple(sample)
        count = len(as_batch(image))
        if len(parameters) not in (1, count):
            raise ValueError(f"parameters must be those of 1 or {count} images, got {len(parameters)}")
        parameters = parameters if len(parameters) == count else parameters.map(lambda value: value.expand(count))
        moved = (parameters.displacement() > 0).cpu()
        rows = None if bool(moved.all()) else moved.nonzero().squeeze(1)
        plan = SampleParameters(parameters if rows is None else parameters[rows], rows, count, used)
        params = {"drawn": plan if bool(moved.any()) else None}
        done = [self.transform(item, params) if want else item for item, want in zip(flat, wanted, strict=True)]
        return pytree.tree_unflatten(done, spec)

    @staticmethod
    def invert(parameters: AffineParameters, height: int = 1, width: int = 1) -> AffineParameters:
        """The parameters that undo ``parameters``; of ``height`` and ``width`` only the ratio matters."""
        return parameters.inverse(height, width)

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _is_deterministic(self) -> bool:
        return self.deterministic or self.localization.deterministic

    def draw_parameters(self, images: Tensor, noise: Tensor | None) -> AffineParameters:
        """Parameters of ``(B, C, H, W)`` images from ``(B, 6)`` noise, or the mode; the network follows the device."""
        head = self.localization.head.weight
        if head.device != images.device:
            self.localization.to(images.device)
        noise = None if noise is None else noise.to(images.device)
        with in_full_precision(images):
            return self.localization.draw(images, noise, self.limits, self.strength)

    def _generator(self) -> torch.Generator | None:
        """The generator to draw from; a DataLoader worker derives its own from it and the worker's seed."""
        worker = None if self.generator is None else torch.utils.data.get_worker_info()
        if self.generator is None or worker is None:
            return self.generator
        if self._worker_generator is None or self._worker_generator[0] != worker.seed:
            mixed = (self.generator.initial_seed() ^ worker.seed) & (2**63 - 1)
            self._worker_generator = worker.seed, torch.Generator().manual_seed(mixed)
        return self._worker_generator[1]

    def __getstate__(self) -> dict[str, Any]:
        """A generator does not pickle; its state does."""
        state = dict(self.__dict__, _worker_generator=None, last_parameters=None)
        if self.generator is not None:
            # as bytes: a tensor would go to a spawned worker through shared memory
            state["generator"] = self.generator.initial_seed(), self.generator.get_state().numpy().tobytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the generator again from its state."""
        saved = state.get("generator")
        if isinstance(saved, tuple):
            seed, now = saved
            generator = torch.Generator().manual_seed(seed)
            state = dict(state, generator=generator.set_state(torch.frombuffer(bytearray(now), dtype=torch.uint8)))
        super().__setstate__(state)

    def __repr__(self) -> str:
        """One line that says what one needs to know."""
        limits = self.limits
        extra = f", fill={self.fill}" if self.fill != 0.0 else ""
        mode = ", deterministic=True" if self._is_deterministic else ""
        fitted = "fitted" if self.history is not None else "not fitted"
        return (
            f"{type(self).__name__}({fitted}, limits=(±{limits.angle:g}°, ×{limits.scale:g}, shear {limits.shear:g}°, "
            f"shift {limits.translate:.0%}), p={self.p:g}, strength={self.strength:g}, "
            f"padding_mode={self.padding_mode!r}{extra}{mode})"
        )


def _scatter(drawn: AffineParameters, rows: Tensor | None, count: int) -> AffineParameters:
    """The parameters of all ``count`` images: those drawn for ``rows``, the identity elsewhere."""
    if rows is None:
        return drawn
    whole = AffineParameters.identity(count, drawn.angle.device)
    index = rows.to(drawn.angle.device)
    pairs = zip(whole.tensors(), drawn.tensors(), strict=True)
    return AffineParameters(*(all_.index_copy(0, index, some.to(all_.dtype)) for all_, some in pairs))


def _kinds(items: list[Any]) -> str:
    """The kinds of what came, for a message."""
    return ", ".join(sorted({type(item).__name__ for item in items})) or "an empty sample"
