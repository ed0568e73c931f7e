"""The page ``ICONS.md``: who made the icons of ``icons.npz``, and under which licence."""

from typing import Any

import numpy as np

HEAD = """\
# The icons of `icons.npz`

{train} icons for training and {test} for testing, of {classes} classes and {sets} design sets. `make_icons.py` writes
this page and the file from the npm package `@iconify/json` {version}, which gives each set's author, licence and
addresses. The script says how icons are chosen and divided.

Changed: each drawing was rendered in black on white at 32 x 32 pixels, and not all were taken. The authors below hold
the copyright of their drawings; the package names no years. A licence with an address leads to the set's own copy of
it, with its copyright line.

| prefix | design set | author, copyright holder | licence | family | part | icons |
|---|---|---|---|---|---|---|
"""

TAIL = """
## Licences

**Apache-2.0**: its text is [LICENSE](../../LICENSE) at the root of this repository.

**CC0-1.0**: dedicated to the public domain, <https://creativecommons.org/publicdomain/zero/1.0/legalcode>.

**MIT**:

> Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
> documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
> rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
> persons to whom the Software is furnished to do so, subject to the following conditions:
>
> The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
> Software.
>
> THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
> WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
> COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
> OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

**ISC**:

> Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby
> granted, provided that the above copyright notice and this permission notice appear in all copies.
>
> THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
> IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
> INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN
> AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
> PERFORMANCE OF THIS SOFTWARE.
"""


def page(version: str, sets: dict[str, dict[str, Any]], arrays: dict[str, np.ndarray]) -> str:
    """The whole page; ``sets`` is what the package says of each design set, ``arrays`` what the file holds."""
    head = HEAD.format(
        train=len(arrays["train_labels"]),
        test=len(arrays["test_labels"]),
        classes=len(arrays["classes"]),
        sets=len(arrays["prefixes"]),
        version=version,
    )
    rows = [row(index, prefix, sets[prefix], arrays) for index, prefix in enumerate(arrays["prefixes"].tolist())]
    return head + "".join(rows) + TAIL


def row(index: int, prefix: str, entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """One design set's line of the table."""
    counts = {part: int((arrays[f"{part}_sets"] == index).sum()) for part in ("train", "test")}
    part = max(counts, key=counts.__getitem__)
    cells = (
        f"`{prefix}`",
        plain(entry["name"]),
        link(plain(entry["author"]["name"]), entry["author"].get("url")),
        link(entry["license"]["spdx"], entry["license"].get("url")),
        f"`{arrays['families'][index]}`",
        part,
        str(counts[part]),
    )
    return f"| {' | '.join(cells)} |\n"


def plain(text: str) -> str:
    """Text that a table's cell can hold."""
    return text.replace("|", "\\|")


def link(text: str, address: str | None) -> str:
    """A link, where there is an address."""
    return f"[{text}]({address})" if address else text
