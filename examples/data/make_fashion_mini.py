"""Make ``fashion_mini.npz``: the first images of each class of Fashion-MNIST, 200 for training and 200 for testing.

    python examples/data/make_fashion_mini.py FOLDER

FOLDER holds Fashion-MNIST's four idx files (``train-images-idx3-ubyte.gz`` and so on), as Debian's package
``dataset-fashion-mnist`` installs them. The result is the same, byte for byte, each time.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

PER_CLASS = 200


def read_idx(path: Path) -> np.ndarray:
    """The array of an idx file: magic number with the number of axes, the axes' sizes, then bytes."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def stratified(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The first ``PER_CLASS`` images of each class, in the order of the file."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:PER_CLASS] for label in range(10)]))
    return images[chosen], labels[chosen]


def main() -> None:
    """Write both parts beside this script."""
    folder = Path(sys.argv[1])
    train, train_labels = stratified(folder, "train")
    test, test_labels = stratified(folder, "t10k")
    target = Path(__file__).with_name("fashion_mini.npz")
    np.savez_compressed(
        target, train_images=train, train_labels=train_labels, test_images=test, test_labels=test_labels
    )
    print(f"{target.name}: {len(train)} + {len(test)} images, {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
