"""The model card that goes with a folder of weights: Markdown with a YAML head, as the hub wants it."""

from __future__ import annotations

import json
from textwrap import indent
from typing import Any

from learned_affine.diagnostics.summary import symmetry_text

CARD = "README.md"
MARK = "<!-- written by learned_affine; a card without this line is left alone -->"
BODY = """
{mark}

# A policy for affine augmentation

A `LearnedAffineAugment`: a torchvision transform that rotates, scales, shears and shifts each image within a range
that was learned for that image, and flips it or rotates it by right angles by chances that were learned for that image.

```python
# pip install learned_affine[hub]
from learned_affine import LearnedAffineAugment

augment = LearnedAffineAugment.from_pretrained("ORG/REPO")  # or this folder
images = augment(images)  # before or after Normalize; p, strength and padding can be changed at loading
```

## What it may do

{limits}

The defaults of the file: {arguments}.

## How it was fitted

{info}

## Symmetries by class

{symmetries}

## Measured in the last round of the fit

{measures}

Costs and KL are in nats, displacement in shares of the image side.

## Limits of use

Fitted to one classifier on one set of images. It runs on others too: measure there whether it helps. It does not
protect classes that a rotation, shift, shear, flip or change of size can make into each other, such as 6 and 9. Labels
that name a side ("left eye") are not renamed when an image is flipped: load it with
`limits=AffineLimits(symmetries="none")` there, or train with `learned_affine.label_map`.
"""
FLIPS = {  # by the symmetries of a description's limits, which are those that its network knows of
    "none": "It never flips an image or rotates it by right angles.",
    "mirror": "It flips an image left-right by a chance of its own.",
    "all": "It flips an image and rotates it by right angles, each by a chance of its own.",
}


def model_card(description: dict[str, Any]) -> str:
    """The card of an augmenter's description."""
    limits, history = description["limits"], description["history"] or {"info": {}, "rounds": {}}
    info = history["info"]
    flips = limits["symmetries"] if "symmetries" in description["localization"] else "none"  # the paper's has none
    last = {key: values[-1] for key, values in history["rounds"].items() if values and values[-1] is not None}
    head = ["library_name: learned_affine"]
    if isinstance(info.get("licence"), str):
        head.append(f"license: {json.dumps(info['licence'].lower())}")
    head += ["tags:", "- data-augmentation", "- image-classification", "- learned_affine"]
    body = BODY.format(
        mark=MARK,
        limits=f"Rotation within ±{limits['angle']:g}°, scale from ×{1 / limits['scale']:.3g} to ×{limits['scale']:g}, "
        f"shear within ±{limits['shear']:g}°, shift within ±{limits['translate']:.0%} of each side. " + FLIPS[flips],
        arguments=", ".join(f"`{name}={value!r}`" for name, value in description["arguments"].items()),
        info=_table({**_plain(info), "written by": description["written_by"]}),
        symmetries=indent(symmetry_text(info, limits["symmetries"]), "    "),  # as code
        measures=_table({key: f"{value:.4g}" for key, value in last.items()}) if last else "Not fitted.",
    )
    return "\n".join(["---", *head, "---", body.lstrip()])


def _plain(info: dict[str, Any]) -> dict[str, Any]:
    """What fits a row of a table; config.json has the rest."""
    rows = {key: value for key, value in info.items() if not isinstance(value, dict | list)}
    nested = {key: info[key] for key in info if isinstance(info[key], dict) and key not in ("config", "recognised")}
    return rows | {f"{key}: {inner}": value for key, values in nested.items() for inner, value in values.items()}


def _table(rows: dict[str, Any]) -> str:
    cells = [[" ".join(str(one).split()).replace("|", "\\|") for one in row] for row in rows.items()]
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in cells)])
