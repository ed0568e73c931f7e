"""
Boxes, masks and key points
===========================

One set of parameters moves everything that belongs to an image, in torchvision's own types.
"""

# %%
# A scene with its labels, made on the spot: three shapes, each with a box, a mask and its centre as a key point.
import torch
from matplotlib.figure import Figure
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.utils import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks

from learned_affine import LearnedAffineAugment

SIZE = 128
COLOURS = [(0, 114, 178), (213, 94, 0), (0, 158, 115)]
y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
shapes = torch.stack(
    [
        (x - 38) ** 2 + (y - 40) ** 2 < 22**2,  # a disc
        (abs(x - 90) < 20) & (abs(y - 38) < 16),  # a rectangle
        (y > 70) & (y < 112) & (abs(x - 64) < (y - 70) * 0.7),  # a triangle
    ]
)
picture = (60 + 40 * torch.sin(x / 9) * torch.cos(y / 11)).to(torch.uint8).expand(3, -1, -1).clone()
for shape, colour in zip(shapes, COLOURS, strict=True):
    picture[:, shape] = torch.tensor(colour, dtype=torch.uint8)[:, None]

# %%
# A sample as a detection dataset gives it. Labels and names pass through as they are.
edges = [(x[shape].min(), y[shape].min(), x[shape].max() + 1, y[shape].max() + 1) for shape in shapes]
sample = {
    "image": tv_tensors.Image(picture),
    "boxes": tv_tensors.BoundingBoxes(edges, format="XYXY", canvas_size=(SIZE, SIZE)),
    "masks": tv_tensors.Mask(shapes),
    "points": tv_tensors.KeyPoints([[38.5, 40.5], [90.5, 38.5], [64.5, 98.0]], canvas_size=(SIZE, SIZE)),
    "labels": torch.tensor([0, 1, 2]),
    "name": "made.png",
}

# %%
# The policy was fitted on 32 x 32 photographs; it observes a small thumbnail, so any size will do. What leaves the
# image is not removed: ``SanitizeBoundingBoxes`` after it does that, as after torchvision's own transforms. What
# comes in is filled: reflection, the default, would bring in mirrored objects that have no box.
torch.manual_seed(0)
augment = LearnedAffineAugment.from_pretrained("CIFAR10_V1", p=1.0, padding_mode="fill", fill=60)
pipeline = v2.Compose([augment, v2.SanitizeBoundingBoxes(labels_getter=lambda sample: sample["labels"])])
results = [sample] + [pipeline(sample) for _ in range(3)]
print(augment.last_parameters)
print({key: type(value).__name__ for key, value in results[1].items()})


# %%
# Before, and three draws after. Boxes are those round the moved corners, so they grow a little with the rotation.
def drawn(one):
    """The picture of a sample with all its labels."""
    image = draw_segmentation_masks(one["image"], one["masks"], alpha=0.35, colors=["white"] * len(one["masks"]))
    image = draw_bounding_boxes(image, one["boxes"], colors="yellow", width=2)
    return draw_keypoints(image, one["points"].as_subclass(torch.Tensor)[None], colors="white", radius=3)


figure = Figure(figsize=(9, 2.6), layout="constrained")
for axis, one, title in zip(figure.subplots(1, 4), results, ("before", "after", "after", "after"), strict=True):
    axis.imshow(drawn(one).permute(1, 2, 0).numpy())
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()

# %%
# The key points stay on their shapes, and the masks with them: here the share of each mask that the moved key point
# still lies in.
for one in results[1:]:
    inside = [bool(mask[int(v), int(u)]) for mask, (u, v) in zip(one["masks"], one["points"].tolist(), strict=True)]
    print("key point inside its mask:", inside)
