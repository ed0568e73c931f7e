"""A small residual network for images of 28 to 64 pixels, of torchvision's blocks."""

from torch import nn
from torchvision.models.resnet import BasicBlock


class SmallResNet(nn.Sequential):
    """ResNet-8: a convolution and three residual stages, as He et al. (2016, section 4.2) have them for CIFAR-10.

    Args:
        classes: number of classes.
        channels: channels of the images.
        width: channels of the first stage; the others have twice and four times as many.
    """

    def __init__(self, classes: int = 10, channels: int = 3, width: int = 16) -> None:
        first = nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        stages = residual(width, width, 1), residual(width, 2 * width, 2), residual(2 * width, 4 * width, 2)
        super().__init__(*first, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))


def residual(before: int, after: int, stride: int) -> BasicBlock:
    """One block; its shortcut is a convolution where the shape changes."""
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    return BasicBlock(before, after, stride, shortcut)
