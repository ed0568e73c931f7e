"""A small residual network for images of 28 to 64 pixels, of torchvision's blocks."""

from torch import nn
from torchvision.models.resnet import BasicBlock


class SmallResNet(nn.Sequential):
    """A convolution and three residual stages, as He et al. (2016, section 4.2) have them for CIFAR-10.

    Args:
        classes: number of classes.
        channels: channels of the images.
        width: channels of the first stage; the others have twice and four times as many.
        blocks: of two convolutions, a stage; 1 makes a ResNet-8.
    """

    def __init__(self, classes: int = 10, channels: int = 3, width: int = 16, blocks: int = 1) -> None:
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU())
        before = width
        for stage in range(3):
            after = width * 2**stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(residual(before, after, stride))
                before = after
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def residual(before: int, after: int, stride: int) -> BasicBlock:
    """One block; its shortcut is a convolution where the shape changes."""
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    return BasicBlock(before, after, stride, shortcut)
