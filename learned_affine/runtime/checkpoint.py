"""Everything that a fit needs to go on exactly where it was, in one file, written atomically."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from learned_affine._files import write_atomically

NAME = "fit.pt"
FORMAT = 1


def write_checkpoint(folder: str | Path, state: dict[str, Any]) -> Path:
    """Write ``state`` to ``folder``; a kill at any instant leaves the previous checkpoint readable."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    for left in folder.glob(f".{NAME}.*"):  # of a run that was killed while it wrote
        left.unlink(missing_ok=True)
    return write_atomically(folder / NAME, buffer.getvalue())


def find_checkpoint(resume: bool | str | Path, checkpoint: str | Path | None) -> Path | None:
    """The file that ``resume`` means; None for a first run.

    Raises:
        ValueError: if ``resume=True`` comes without ``checkpoint``.
        FileNotFoundError: if a given path is not there.
    """
    if resume is False or resume is None:
        return None
    if resume is True:
        if checkpoint is None:
            raise ValueError("resume=True needs checkpoint=DIR to say where, got checkpoint=None")
        path = Path(checkpoint) / NAME
        return path if path.exists() else None
    path = Path(resume)
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        raise FileNotFoundError(
            f"resume must be a checkpoint's file or folder, got {str(resume)!r}, where there is none"
        )
    return path


def read_checkpoint(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of the same configuration; no code of the file's is run.

    Raises:
        ValueError: if the file is damaged, of a newer format, or of another configuration.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()  # torch itself does not check the checksums
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        format_, written = int(state["format"]), dict(state["config"])
        missing = sorted({"fitter", "sums", "order", "stillness", "history"} - set(state))
        if missing and format_ <= FORMAT:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except Exception as error:  # a damaged or foreign file can raise anything
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no text'}"
        raise ValueError(f"checkpoint {str(path)!r} cannot be read ({reason})") from error
    if format_ > FORMAT:
        raise ValueError(f"checkpoint {str(path)!r} has the format {format_}; this version reads up to {FORMAT}")
    changed = {key: (written.get(key), value) for key, value in config.items() if written.get(key) != value}
    if changed:
        told = ", ".join(f"{key}: {old!r} there, {new!r} now" for key, (old, new) in changed.items())
        raise ValueError(f"checkpoint {str(path)!r} is of another configuration ({told})")
    return state
