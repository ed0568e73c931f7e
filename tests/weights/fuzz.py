"""Load mutated weights files under limits of time and memory, in a process of its own.

    python -m tests.weights.fuzz COUNT FOLDER     # prints what was loaded, as JSON

Each file loads as what it says, or raises ``WeightsError``. A load that takes more than a second of CPU time kills the
process by its timer; one that takes more than 200 MB runs into the limit of its address space.
"""

import contextlib
import copy
import json
import random
import resource
import signal
import sys
from pathlib import Path

import PIL.Image
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from torchvision import tv_tensors

from learned_affine import AffineLimits, FitHistory, LearnedAffineAugment
from learned_affine.policy.network import LocalizationNetwork
from learned_affine.policy.raw_head import RawHead
from learned_affine.weights.container import WeightsError, digest_of

SECONDS, BYTES = 1.0, 200_000_000
ODD = [
    *(None, True, False, 0, -1, 1, 3, 1.5, 1e308, -1e308, 2**31, 2**63, 2**64, 10**400, "", "x", "x" * 5000, [], {}),
    *([0] * 2000, {"a": 1}, [[[[1]]]], "../../etc/passwd", "/dev/zero", "a\0b", "bounded", "raw", "fill", "\ud800"),
    *("F64", "BF16", "I64", "F8_E4M3", "f32", [2**31, 2**31], [10**18], [-1], [1.5], ["a"], [1] * 5000, [64, 0], 256),
]
FILLED = {"padding_mode": "fill", "fill": {tv_tensors.Image: 7, PIL.Image.Image: 2, "others": 1}}
NAMES = ["../../../tmp/x", "/etc/passwd", "..", "a\0b", "C:\\x", "x" * 3000, "", "__metadata__", "head.bias", "é"]
LENGTHS = [0, 1, 7, 2**20, 2**20 + 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 100_000_001]


def unpack(content):
    """The header and the data of a container."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def pack(header, data, length=None):
    """A container, by whatever header and length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def sign(header, data):
    """The container with a digest that fits, so that what is behind that check is reached, too."""
    metadata = header.get("__metadata__")
    if isinstance(metadata, dict) and "sha256" in metadata:
        with contextlib.suppress(SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            metadata["sha256"] = digest_of(metadata["learned_affine"], load_tensors(pack(header, data)))
    return pack(header, data)


# -- damage: what was written is no longer what is there --------------------------------------------------------------


def flip_bits(content, draw):
    content = bytearray(content)
    end = draw.choice([8, 3000, len(content)])
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(min(end, len(content)))] ^= 1 << draw.randrange(8)
    return bytes(content)


def truncate(content, draw):
    return content[: draw.randrange(min(draw.choice([64, 6000, 10**9]), len(content)))]


def resize_header(content, draw):
    length = int.from_bytes(content[:8], "little")
    near = [length + step for step in (-8, -1, 1, 8, 1000)] + [len(content) - 8, len(content)]
    return draw.choice([*LENGTHS, *near]).to_bytes(8, "little") + content[8:]


DAMAGE = [flip_bits, flip_bits, truncate, resize_header]

# -- malice: whole files that say what they should not ----------------------------------------------------------------


def poison(content, draw):
    header, data = unpack(content)
    data = bytearray(data)
    place = draw.randrange(len(data) // 4) * 4
    value = torch.tensor(draw.choice([float("nan"), float("inf"), -float("inf"), 3e38]))
    data[place : place + 4] = value.numpy().tobytes()
    return sign(header, bytes(data))


def deepen(content, draw):
    header, data = unpack(content)
    depth = draw.choice([10, 33, 500, 990, 5000, 200_000])
    nested = draw.choice(["[", '{"a":']) * depth
    nested += draw.choice(["", "1" + ("]" if nested[0] == "[" else "}") * depth])
    where = draw.randrange(4)
    if where == 0:
        return pack(nested.encode(), data)
    if where == 1:
        return pack(b'{"x":' + nested.encode() + b"}", data)
    if where == 2:
        header["__metadata__"]["learned_affine"] = nested
    else:
        described = header["__metadata__"]["learned_affine"].rstrip("}")
        header["__metadata__"]["learned_affine"] = described + ', "more": ' + nested + "}"
    return sign(header, data)


def twice(content, draw):
    header, data = unpack(content)
    text = json.dumps(header).encode()
    name = draw.choice(list(header)).encode()
    return pack(text[:-1] + b', "' + name + b'": ' + json.dumps(draw.choice(ODD)).encode() + b"}", data)


def spots(value, path=()):
    """Where a description can be changed."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from spots(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield (*path, 0)


def change(described, draw):
    """Set, drop or add something anywhere in nested dicts."""
    *path, last = draw.choice(list(spots(described)))
    target = described
    for key in path:
        target = target[key]
    action = draw.choice(["set", "set", "set", "drop", "add"])
    if action == "drop":
        del target[last]
    elif action == "add" and isinstance(target, dict):
        target[draw.choice(NAMES)] = copy.deepcopy(draw.choice(ODD))  # else one may come to hold itself
    else:
        target[last] = copy.deepcopy(draw.choice(ODD))


def mislead(content, draw):
    """Names, dtypes, shapes and places of tensors, and the metadata."""
    header, data = unpack(content)
    change(header, draw)
    return sign(header, data) if draw.random() < 0.8 else pack(header, data)


def misdescribe(content, draw):
    header, data = unpack(content)
    described = json.loads(header["__metadata__"]["learned_affine"])
    for _ in range(draw.choice([1, 1, 1, 4])):
        change(described, draw)
        if not described:
            break
    header["__metadata__"]["learned_affine"] = json.dumps(described)
    return sign(header, data)


def impostor(content, draw):
    if draw.random() < 0.5:
        return draw.randbytes(draw.randint(0, 2000))
    return pack(draw.choice([b"{}", b"[]", b"", b"null", b'{"__metadata__":{}}', b"{\xff}", b" {}"]), b"")


MALICE = [poison, deepen, twice, mislead, mislead, mislead, misdescribe, misdescribe, misdescribe, impostor]
KINDS = {kind.__name__ for kind in (*DAMAGE, *MALICE)}


def mutated(content, draw):
    """A mutated file, the name of what was done, and whether it is mere damage."""
    kind = draw.choice(DAMAGE if draw.random() < 0.4 else MALICE)
    return kind(content, draw), kind.__name__, kind in DAMAGE


# -- the verdict ------------------------------------------------------------------------------------------------------


def is_sound(augment, path):
    """Whether a loaded augmenter is what the file says, by another reader, and works."""
    with safe_open(path, "pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    own = augment.localization.state_dict()
    same = set(own) == set(held) and all(torch.equal(own[name], held[name]) for name in own)
    finite = all(bool(torch.isfinite(value).all()) for value in own.values())
    right = type(augment.deterministic) is bool and 0 <= augment.p <= 1 and 0 <= augment.strength <= 1
    return same and finite and right and moves_as_it_says(augment)


def moves_as_it_says(augment):
    """Whether images get no symmetry that the file forbids; the paper's own matrices may be anything."""
    if isinstance(augment.localization, RawHead):
        return True
    images = torch.rand(64, augment.localization.channels, 8, 8)
    codes = torch.cat([augment.sample_parameters(images).codes() for _ in range(8)])
    allowed = set(augment.limits.allowed_symmetries(8, 8)) & set(augment.localization.codes)
    return set(codes.tolist()) <= ({0} if augment.deterministic else allowed)


def originals(folder):
    """Files of both networks, with and without symmetries and a history."""
    torch.manual_seed(0)
    small = {"size": 8, "width": 8}
    networks = [LocalizationNetwork(1, **small, symmetries=word) for word in ("all", "mirror", "none")]
    networks += [LocalizationNetwork(3, **small, per_image=False), RawHead(1)]
    found = []
    for number, network in enumerate(networks):
        torch.nn.init.normal_(network.head.weight)
        limits = AffineLimits(symmetries=getattr(network, "symmetries", "all"))
        augment = LearnedAffineAugment(limits, localization=network, **(FILLED if number else {}))
        if number % 2 == 0:
            augment.history = FitHistory(info={"steps": 3, "data": "x"}).add(cost=1.0, kl=2.0)
        found.append(augment.save_pretrained(folder / "again.safetensors").read_bytes())
    return found


def limit_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])  # as Linux tells it
    space = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (space, space))


def attempt(path):
    """Load once: the augmenter, or None where it is refused."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return LearnedAffineAugment.from_pretrained(path)
    except WeightsError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def run(count, folder, seed=0):
    """Load ``count`` mutated files."""
    torch.set_num_threads(1)
    draw, sources, path = random.Random(seed), originals(folder), folder / "model.safetensors"
    limit_memory()
    loaded, kinds = 0, set()
    for number in range(count):
        content, kind, is_damage = mutated(draw.choice(sources), draw)
        path.write_bytes(content)
        augment = attempt(path)
        kinds.add(kind)
        if augment is None:
            continue
        loaded += 1
        assert is_sound(augment, path), (number, kind)
        signed = b'"sha256"' in content
        assert not (is_damage and signed) or unpack(content) in map(unpack, sources), (number, kind)  # blanks at most
    assert sorted(entry.name for entry in folder.iterdir()) == ["again.safetensors", "model.safetensors"]
    return {"loaded": loaded, "kinds": sorted(kinds)}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), Path(sys.argv[2]))))
