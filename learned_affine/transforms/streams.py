"""Who shares a generator shares one stream: also in a DataLoader's workers, and in copies."""

from __future__ import annotations

import hashlib
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch


class Stream:
    """A generator's stream in a DataLoader worker, and the generator on its way there.

    There is one of them for each generator: copies and pickles keep one object one, so that they go on sharing it.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = ref(generator)
        self._worker: tuple[int, torch.Generator] | None = None

    def of_worker(self, seed: int, worker_seed: int) -> torch.Generator:
        """The stream of one seed and one worker, which no other pair has."""
        if self._worker is None or self._worker[0] != worker_seed:
            digest = hashlib.sha256(f"{seed} {worker_seed}".encode()).digest()
            stream = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
            # torch uses 32 bits of a seed, too few for thousands of streams: 16 more say how many numbers to pass over
            torch.empty(int.from_bytes(digest[4:6], "big"), dtype=torch.uint8, device="cpu").random_(generator=stream)
            self._worker = worker_seed, stream
        return self._worker[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Where it arrives, it is the generator itself."""
        generator = self.generator()
        assert generator is not None
        # bytes: torch's own pickle holds a tensor in shared memory, which is gone before a spawned worker reads it
        return _restored, (generator.initial_seed(), generator.get_state().numpy().tobytes())


def _restored(seed: int, state: bytes) -> torch.Generator:
    return torch.Generator().manual_seed(seed).set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


_STREAMS: WeakKeyDictionary[torch.Generator, Stream] = WeakKeyDictionary()


def stream_of(generator: torch.Generator) -> Stream:
    """The stream of a generator, one for all that share it."""
    return _STREAMS.setdefault(generator, Stream(generator))
