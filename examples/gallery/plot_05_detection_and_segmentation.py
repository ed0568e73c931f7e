"""
Boxes, masks and key points
===========================

One draw moves everything that belongs to an image, in torchvision's own types.
"""

# %%
# A photograph with its labels: boxes round the head, the helmet and the model of the shuttle; a mask of the helmet;
# and both eyes and the mouth as key points.
import torch
from matplotlib.figure import Figure
from photos import photographs
from saving import save
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.utils import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks

from learned_affine import LearnedAffineAugment

SIZE = 256
y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
boxes = [[77, 8, 151, 90], [141, 172, 254, 256], [182, 0, 226, 118]]
sample = {
    "image": tv_tensors.Image(photographs(SIZE)[3]),
    "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(SIZE, SIZE)),
    "masks": tv_tensors.Mask((((x - 197) / 56) ** 2 + ((y - 217) / 45) ** 2 < 1)[None]),
    "points": tv_tensors.KeyPoints([[101.5, 50], [124, 51], [112, 73]], canvas_size=(SIZE, SIZE)),
    "labels": torch.tensor([0, 1, 2]),
    "name": "astronaut.png",
}

# %%
# ``padding_mode="fill"``: the default, reflection, would bring in mirrored objects that have no box. What leaves the
# image is not removed, so ``SanitizeBoundingBoxes`` comes after it. If a label named a side ("left eye"), flips would
# have to be forbidden by ``limits=AffineLimits(symmetries="none")``, since labels are not renamed.
torch.manual_seed(1)
augment = LearnedAffineAugment.from_pretrained("CIFAR10_V3", p=1.0, padding_mode="fill", fill=114)
pipeline = v2.Compose([augment, v2.SanitizeBoundingBoxes(labels_getter=lambda sample: sample["labels"])])
results = [sample] + [pipeline(sample) for _ in range(3)]
print({key: type(value).__name__ for key, value in results[1].items()})


# %%
# Before, and three draws. A box becomes the box round its moved corners, so it grows a little with the rotation.
def drawn(one):
    """The picture of a sample with all its labels."""
    image = draw_segmentation_masks(one["image"], one["masks"], alpha=0.5, colors=["#56B4E9"])
    image = draw_bounding_boxes(image, one["boxes"], colors="yellow", width=3)
    return draw_keypoints(image, one["points"].as_subclass(torch.Tensor)[None], colors="#D55E00", radius=4)


figure = Figure(figsize=(8, 8.2), layout="constrained", facecolor="white")
for axis, one, title in zip(figure.subplots(2, 2).flat, results, ("before", "after", "after", "after"), strict=True):
    axis.imshow(drawn(one).permute(1, 2, 0).numpy())
    axis.set_title(title, fontsize=11)
    axis.set_axis_off()
save(figure, "plot_05_detection_and_segmentation")
