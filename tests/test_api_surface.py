"""What users can call: every public name, where it is defined, and its signature, written out.

A change here is a change for users; it goes into CHANGELOG.md.
"""

import dataclasses
import importlib
import inspect
from enum import Enum

import pytest
from learned_affine.fitting.offline import FitMethod

from learned_affine import FitConfig, LearnedAffineAugment, LearnedAffineAugment_Weights, tasks

SURFACE = {
    "learned_affine": """
# learned_affine.geometry.limits
AffineLimits(
    angle: float = 30.0,
    scale: float = 1.3,
    shear: float = 15.0,
    translate: float = 0.15,
    symmetries: Symmetries = 'all',
) -> None
    .modest() -> AffineLimits
    .wide() -> AffineLimits
    .extent(self) -> list[float]
    .allowed_symmetries(self, height: int, width: int) -> tuple[int, ...]
    .parameters(
        self,
        unit: Tensor,
        mirror: Tensor | None = None,
        quarter_turns: Tensor | None = None,
    ) -> AffineParameters
# learned_affine.geometry.parameters
AffineParameters(
    angle: Tensor,
    scale_x: Tensor,
    scale_y: Tensor,
    shear: Tensor,
    translate_x: Tensor,
    translate_y: Tensor,
    mirror: Tensor = None,
    quarter_turns: Tensor = None,
) -> None
    .identity(count: int, device: torch.device | str = 'cpu') -> AffineParameters
    .from_matrix(matrix: Tensor, height: int, width: int) -> AffineParameters
    .linear(self) -> tuple[Tensor, Tensor, Tensor, Tensor]
    .codes(self) -> Tensor
    .symmetry_matrix(self, dtype: torch.dtype) -> Tensor
    .matrix(self, height: int, width: int) -> Tensor
    .is_still(self) -> Tensor
    .displacement(self, height: float = 1, width: float = 1) -> Tensor
    .inverse(self, height: int = 1, width: int = 1) -> AffineParameters
    .map(self, function: Callable[[Tensor], Tensor]) -> AffineParameters
    .map_all(self, function: Callable[[Tensor], Tensor]) -> AffineParameters
    .cat(parts: Sequence[AffineParameters]) -> AffineParameters
    .without_symmetry(self) -> AffineParameters
    .leaves(self) -> tuple[Tensor, ...]
    .tensors(self) -> tuple[Tensor, ...]
    .stacked(self) -> Tensor
    .double(self) -> AffineParameters
    .detach(self) -> AffineParameters
    .to(self, device: torch.device | str) -> AffineParameters
    .to_dict(self) -> dict[str, list[float]]
    .caption(self, index: int = 0) -> str
# learned_affine.config
FitConfig(
    objective: Objective = 'calibrated',
    steps: int | None = None,
    epochs: int | None = None,
    draws: int = 2,
    updates: int = 6,
    memory: int = 8,
    learning_rate: float = 0.003,
    shared_rate: float = 3.0,
    target: float | None = None,
    tolerance: float = 0.15,
    labels: Labels = 'given',
    entropy_weight: float = 1.0,
    adversarial_weight: float = 0.1,
    discriminator_rate: float = 0.001,
    dual_rate: float = 0.1,
    sign: Sign = 'printed',
    patience: int | None = None,
) -> None
    .needs_labels
    .paper(sign: Sign = 'printed', **changes: Any) -> FitConfig
    .replace(self, **changes: Any) -> FitConfig
    .to_dict(self) -> dict[str, Any]
# learned_affine.fitting.history
FitHistory(
    records: Mapping[str, list[float]] | None = None,
    info: Mapping[str, Any] | None = None,
) -> None
    .add(self, **values: float) -> FitHistory
    .epochs
    .last(self) -> dict[str, float]
    .to_dict(self) -> dict[str, Any]
    .from_dict(data: Mapping[str, Any]) -> FitHistory
    .save(self, path: str | Path) -> Path
    .plot(self, path: str | Path | None = None) -> Any
# learned_affine.augment
LearnedAffineAugment(
    limits: AffineLimits | None = None,
    *,
    localization: LocalizationNetwork | RawHead | None = None,
    p: float = 0.5,
    strength: float = 1.0,
    deterministic: bool = False,
    interpolation: Interpolation | Enum = 'bilinear',
    padding_mode: PaddingMode = 'reflection',
    fill: Fill | Mapping[Any, Fill] = 0.0,
    generator: torch.Generator | None = None,
) -> None
    .check_inputs(self, flat_inputs: list[Any]) -> None
    .make_params(self, flat_inputs: list[Any]) -> dict[str, Any]
    .transform(self, inpt: Any, params: dict[str, Any]) -> Any
    .sampling
    .last_parameters
    .sample_parameters(self, images: Tensor) -> AffineParameters
    .warp(self, images: Tensor, parameters: AffineParameters) -> Tensor
    .apply(self, *sample: Any, parameters: AffineParameters | None = None) -> Any
    .invert(parameters: AffineParameters, height: int = 1, width: int = 1) -> AffineParameters
    .noise(self, count: int) -> Tensor | None
    .draw_parameters(self, images: Tensor, noise: Tensor | None) -> AffineParameters
    .fit(
        classifier: Callable[..., Any],
        loader: Iterable[Any],
        *,
        val_loader: Iterable[Any] | None = None,
        config: FitConfig | None = None,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        task: str | SingleLabel | None = None,
        loss: Callable[[Any, Any], Tensor] | None = None,
        label_mirror: Any = None,
        device: torch.device | str | None = None,
        seed: int | None = 0,
        max_steps: int | None = None,
        callbacks: Callable[[Metrics], Any] | Iterable[Callable[[Metrics], Any]] = (),
        log_dir: str | Path | None = None,
        checkpoint: str | Path | None = None,
        resume: bool | str | Path = False,
        progress: bool | None = None,
        accelerator: Any = None,
        image_key: str | None = None,
        label_key: str | None = None,
        limits: AffineLimits | None = None,
        localization: LocalizationNetwork | RawHead | None = None,
        p: float | None = None,
        strength: float | None = None,
        deterministic: bool | None = None,
        interpolation: Interpolation | None = None,
        padding_mode: PaddingMode | None = None,
        fill: Fill | Mapping[Any, Fill] | None = None,
        generator: torch.Generator | None = None,
    ) -> T
    .evaluate(
        augment: PolicyTransform,
        classifier: Callable[..., Any],
        loader: Iterable[Any],
        *,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        task: str | SingleLabel | None = None,
        loss: Callable[[Any, Any], Tensor] | None = None,
        label_mirror: Any = None,
        device: torch.device | str | None = None,
        draws: int = 4,
        max_images: int = 2000,
        image_key: str | None = None,
        label_key: str | None = None,
    ) -> Evaluation
    .save_pretrained(augment: PolicyTransform, path: str | Path) -> Path
    .from_pretrained(
        source: str | Path | WeightsEnum,
        *,
        revision: str | None = None,
        limits: AffineLimits | None = None,
        p: float | None = None,
        strength: float | None = None,
        deterministic: bool | None = None,
        interpolation: Interpolation | None = None,
        padding_mode: PaddingMode | None = None,
        fill: Fill | Mapping[Any, Fill] | None = None,
        generator: torch.Generator | None = None,
    ) -> Self
# learned_affine.pretrained
LearnedAffineAugment_Weights(WeightsEnum)
    .verify(obj: Any) -> Any
    .get_state_dict(self, *_: Any, **__: Any) -> dict[str, Any]
    .path
    .meta
# learned_affine.weights.locate
list_weights() -> list[str]
""",
    "learned_affine.losses": """
# learned_affine.losses
adversarial_nats(augmented_scores: Tensor, saturating: bool = False) -> Tensor
# learned_affine.losses
bernoulli_kl_nats(logit: Tensor) -> Tensor
# learned_affine.losses
cross_entropy_nats(logits: Tensor, labels: Tensor) -> Tensor
# learned_affine.losses
discriminator_nats(original_scores: Tensor, augmented_scores: Tensor) -> Tensor
# learned_affine.losses
gaussian_kl_nats(mean: Tensor, scale_tril: Tensor, prior_width: float) -> Tensor
# learned_affine.losses
max_entropy_gap_nats(logits: Tensor, sign: str = 'printed') -> Tensor
# learned_affine.losses
relative_entropy(logits: Tensor) -> Tensor
# learned_affine.losses
shannon_entropy_bits(logits: Tensor) -> Tensor
""",
    "learned_affine.classifier": """
# learned_affine.classifier
SmallConvNet(classes: int = 10, channels: int = 1, width: int = 32) -> None
# learned_affine.classifier
calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float
# learned_affine.classifier
evaluate_classifier(
    classifier: Any,
    loader: Iterable[Any],
    *,
    warp: Callable[[Tensor], Tensor] | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> dict[str, float]
# learned_affine.classifier
train_classifier(
    classifier: nn.Module,
    loader: Iterable[Any],
    *,
    augment: Callable[[Tensor], Tensor] | None = None,
    epochs: int = 10,
    learning_rate: float = 0.001,
    weight_decay: float = 0.0005,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    title: str = 'train',
    on_epoch: Callable[[int], Any] | None = None,
) -> dict[str, list[float]]
""",
    "learned_affine.averaging": """
# learned_affine.averaging
AveragedClassifier(
    classifier: Callable[..., Any],
    augment: PolicyTransform,
    draws: int = 8,
    *,
    strength: float = 0.5,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    max_images: int = 1024,
) -> None
    .forward(self, images: Tensor) -> Tensor
    .extra_repr(self) -> str
""",
    "learned_affine.plots": """
# learned_affine.plots.images
caption_lines(parameters: AffineParameters, index: int) -> str
# learned_affine.plots.images
plot_before_after(
    augment: PolicyTransform,
    images: Tensor,
    path: str | Path | None = None,
    seed: int = 0,
) -> Figure
# learned_affine.plots.images
plot_by_mirror_chance(
    augment: PolicyTransform,
    images: Tensor,
    path: str | Path | None = None,
) -> Figure
# learned_affine.plots.statistics
plot_entropy(
    augment: PolicyTransform,
    classifier: Any,
    images: Tensor,
    path: str | Path | None = None,
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    draws: int = 4,
    seed: int = 0,
) -> Figure
# learned_affine.plots.images
plot_fan(
    augment: PolicyTransform,
    images: Tensor,
    path: str | Path | None = None,
    draws: int = 24,
    seed: int = 0,
) -> Figure
# learned_affine.plots.curves
plot_history(history: Any, path: str | Path | None = None) -> Figure
# learned_affine.plots.statistics
plot_mirror_chance(
    augment: PolicyTransform,
    images: Tensor,
    labels: Tensor,
    path: str | Path | None = None,
    names: Sequence[str] | None = None,
) -> Figure
# learned_affine.plots.statistics
plot_parameters(
    augment: PolicyTransform,
    images: Tensor,
    labels: Tensor,
    path: str | Path | None = None,
    names: Sequence[str] | None = None,
    draws: int = 16,
    seed: int = 0,
) -> Figure
# learned_affine.plots.images
plot_policies(
    policies: Mapping[str, PolicyTransform],
    images: Tensor,
    path: str | Path | None = None,
    draws: int = 1,
    seed: int = 0,
) -> Figure
# learned_affine.plots.images
plot_quiver(
    augment: PolicyTransform,
    images: Tensor,
    path: str | Path | None = None,
    draws: int = 48,
    seed: int = 0,
) -> Figure
# learned_affine.plots.images
plot_ranges(
    augment: PolicyTransform,
    images: Tensor,
    path: str | Path | None = None,
    names: Sequence[str] | None = None,
    draws: int = 400,
    seed: int = 0,
) -> Figure
""",
    "learned_affine.diagnostics": """
# learned_affine.diagnostics.checks
DeadNetworkWarning(FitWarning)
# learned_affine.diagnostics.checks
DestroyedImagesWarning(FitWarning)
# learned_affine.diagnostics.checks
DiscriminatorWarning(FitWarning)
# learned_affine.diagnostics.evaluation
Evaluation(dict)
# learned_affine.diagnostics.checks
FitWarning(UserWarning)
# learned_affine.diagnostics.checks
IdentityCollapseWarning(FitWarning)
# learned_affine.diagnostics.checks
LimitsBindWarning(FitWarning)
# learned_affine.diagnostics.checks
LittleToGainWarning(FitWarning)
# learned_affine.diagnostics.checks
MirrorWarning(FitWarning)
# learned_affine.diagnostics.checks
PixelRangeWarning(FitWarning)
# learned_affine.diagnostics.checks
ResamplingWarning(FitWarning)
# learned_affine.diagnostics.checks
SetupWarning(FitWarning)
# learned_affine.diagnostics.checks
StoppedFitWarning(FitWarning)
# learned_affine.diagnostics.checks
TargetWarning(FitWarning)
# learned_affine.diagnostics.evaluation
evaluate(
    augment: PolicyTransform,
    classifier: Callable[..., Any],
    loader: Iterable[Any],
    *,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    task: str | SingleLabel | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    label_mirror: Any = None,
    device: torch.device | str | None = None,
    draws: int = 4,
    max_images: int = 2000,
    image_key: str | None = None,
    label_key: str | None = None,
) -> Evaluation
""",
    "learned_affine.kornia": """
# learned_affine.kornia
LearnedAffine(
    augment: LearnedAffineAugment,
    p: float | None = None,
    keepdim: bool = False,
    same_on_batch: bool = False,
) -> None
    .generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]
    .compute_transformation(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
    ) -> Tensor
    .apply_transform(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor
    .apply_transform_mask(
        self,
        input: Tensor,
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor
    .inverse_transform(
        self,
        input: Tensor,
        flags: dict[str, Any],
        transform: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor
    .forward(
        self,
        input: torch.Tensor,
        params: Optional[Dict[str, torch.Tensor]] = None,
        **kwargs: Any,
    ) -> torch.Tensor
""",
    "learned_affine.mirror_labels": """
# learned_affine.mirror_labels
MirrorLabels(augment: PolicyTransform, label_mirror: Any) -> None
    .forward(self, *sample: Any) -> tuple[Any, Any]
""",
    "learned_affine.weights": """
# learned_affine.weights.container
WeightsError(ValueError)
# learned_affine.weights.save_load
describe(source: Any, revision: str | None = None) -> dict[str, Any]
# learned_affine.weights.save_load
save(augment: PolicyTransform, path: str | Path) -> Path
""",
}


# -- the listing of what is there -------------------------------------------------------------------------------------


class Bare(str):
    """An annotation that is shown without quotes."""

    __repr__ = str.__str__


def bare(annotation):
    return Bare(annotation) if isinstance(annotation, str) else annotation


def spelled(name, function):
    """A name with its signature: on one line, or one line an argument where that is too long."""
    signature = inspect.signature(function)
    parameters = [one.replace(annotation=bare(one.annotation)) for one in signature.parameters.values()]
    signature = signature.replace(parameters=parameters, return_annotation=bare(signature.return_annotation))
    if len(f"{name}{signature}") <= 100:
        return [f"{name}{signature}"]
    result = str(signature.replace(parameters=[])).removeprefix("()")
    lines, marked = [], False
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and not marked:
            lines, marked = [*lines, "    *,"], True
        marked = marked or one.kind is one.VAR_POSITIONAL
        lines.append(f"    {one},")
    return [f"{name}(", *lines, f"){result}"]


def public_names(module):
    """``__all__``, or what is defined in the module."""
    own = [name for name, one in vars(module).items() if getattr(one, "__module__", None) == module.__name__]
    return sorted(getattr(module, "__all__", [name for name in own if not name.startswith("_")]))


def members(kind):
    """The public properties and methods that this package gives a class, those of its bases first."""
    bases = [base for base in reversed(kind.__mro__) if base.__module__.startswith("learned_affine")]
    found = {name: one for base in bases for name, one in vars(base).items() if not name.startswith("_")}
    for name, one in found.items():
        function = getattr(one, "__func__", one)
        if isinstance(one, property):
            yield name, None
        elif isinstance(one, FitMethod) or getattr(function, "__module__", "").startswith("learned_affine"):
            yield name, getattr(kind, name)


def listed_class(name, kind):
    """A class: its constructor unless that is Python's own, its properties, and its methods."""
    if issubclass(kind, Exception | dict | Enum):
        lines = [f"{name}({kind.__bases__[0].__name__})"]
    else:
        lines = spelled(name, kind)
    for member, function in members(kind):
        if not isinstance(function, Enum):
            lines += [
                f"    {line}" for line in ([f".{member}"] if function is None else spelled(f".{member}", function))
            ]
    return lines


def listing(module_name):
    """All of a module."""
    module, lines = importlib.import_module(module_name), []
    for name in public_names(module):
        one = getattr(module, name)
        if isinstance(one, str):
            continue
        lines.append(f"# {one.__module__}")
        lines += listed_class(name, one) if isinstance(one, type) else spelled(name, one)
    return lines


@pytest.mark.parametrize("module", SURFACE)
def test_public_names_have_their_place_and_signature(module):
    assert listing(module) == SURFACE[module].strip("\n").splitlines()


def test_the_package_has_few_public_names():
    assert public_names(importlib.import_module("learned_affine")) == [
        "AffineLimits",
        "AffineParameters",
        "FitConfig",
        "FitHistory",
        "LearnedAffineAugment",
        "LearnedAffineAugment_Weights",
        "__version__",
        "list_weights",
    ]
    names = [member.name for member in LearnedAffineAugment_Weights]
    assert names == ["FASHION_MNIST_V1", "CIFAR10_V1", "FASHION_MNIST_V2", "CIFAR10_V2"]
    assert LearnedAffineAugment_Weights.DEFAULT is LearnedAffineAugment_Weights.CIFAR10_V2


def test_fit_has_one_signature_on_the_class_and_on_an_instance():
    fits = [one.fit for one in (LearnedAffineAugment, LearnedAffineAugment(), type("Own", (LearnedAffineAugment,), {}))]
    assert len({str(inspect.signature(fit)) for fit in fits}) == 1


def test_fit_and_from_pretrained_take_the_arguments_of_the_constructor():
    own = set(inspect.signature(LearnedAffineAugment).parameters)
    assert own < set(inspect.signature(LearnedAffineAugment.fit).parameters)
    assert own - {"localization"} < set(inspect.signature(LearnedAffineAugment.from_pretrained).parameters)


def test_tasks_have_these_options():
    """What else their classes have is for a fit alone."""
    options = {name: str(inspect.signature(getattr(tasks, name))) for name in tasks.__all__}
    several = "(weight: 'Any' = None, {}ignore_index: 'int | None' = None{}) -> 'None'"
    of_classes = several.format("", ", label_smoothing: 'float' = 0.0")
    assert options == {
        "Binary": of_classes,
        "MultiLabel": several.format("pos_weight: 'Any' = None, ", ""),
        "SingleLabel": of_classes,
    }


def test_there_are_at_most_eighteen_dials():
    assert len(dataclasses.fields(FitConfig)) <= 18
