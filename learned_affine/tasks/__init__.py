"""The user's model and data: what an output is, and what it costs in nats for each image."""

from learned_affine.tasks.classification import Binary, MultiLabel, SingleLabel

__all__ = ["Binary", "MultiLabel", "SingleLabel"]
