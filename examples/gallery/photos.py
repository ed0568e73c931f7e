"""Four colour photographs for the gallery: public domain, and part of scikit-image, so that nothing is fetched.

"Chelsea the cat" by Stefan van der Walt (CC0), coffee by Rachel Michetti (CC0), the launch of DSCOVR by SpaceX (public
domain), Eileen Collins by NASA (public domain). In a script of your own, use your photographs instead.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

try:
    from skimage import data
except ImportError as error:
    raise SystemExit("this example needs scikit-image: pip install learned_affine[examples]") from error

NAMES = ("cat", "coffee", "rocket", "astronaut")
SQUARES = {"chelsea": (75, 0, 300), "coffee": (110, 20, 370), "rocket": (110, 0, 420), "astronaut": (0, 0, 512)}


def photographs(size: int = 224) -> Tensor:
    """A square piece of each, ``(4, 3, size, size)``, uint8."""
    pieces = []
    for name, (left, top, side) in SQUARES.items():
        whole = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)
        pieces.append(functional.resize(whole[:, top : top + side, left : left + side], [size, size]))
    return torch.stack(pieces)
