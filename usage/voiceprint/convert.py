"""Make `encoder-f16.npz` of the weights that the package resemblyzer brings. For engineers, once:

    pip download --no-deps resemblyzer==0.1.4 && unzip Resemblyzer-0.1.4-*.whl
    python -m usage.voiceprint.convert resemblyzer/pretrained.pt

The file is a sequence of pickles followed by raw numbers. No code of it runs: the pickles may name
three things, and each is replaced by our own.
"""

from __future__ import annotations

import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

TARGET = Path(__file__).with_name("encoder-f16.npz")
PICKLES_BEFORE = 3  # magic number, version, and the maker's machine
COUNT = struct.Struct("<q")
TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class Storage:
    """Raw numbers of the file, read after the pickles."""

    def __init__(self, kind: str) -> None:
        self.dtype = np.dtype(TYPES[kind])
        self.numbers: Any = np.zeros(0, self.dtype)


class Tensor:
    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape = storage, offset, shape

    def numbers(self) -> Any:
        size = int(np.prod(self.shape))
        return self.storage.numbers[self.offset : self.offset + size].reshape(self.shape)


def tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> Tensor:
    dense = tuple(int(np.prod(shape[place + 1 :])) for place in range(len(shape)))
    if strides != dense:
        raise pickle.UnpicklingError("a tensor whose numbers do not follow each other")
    return Tensor(storage, offset, shape)


class Unpickler(pickle.Unpickler):
    """Knows dictionaries, tensors and the types of their numbers."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return tensor
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not expected here")

    def persistent_load(self, pid: Any) -> Storage:
        what, kind, key, _place, _count, *_view = pid
        if what != "storage":
            raise pickle.UnpicklingError(f"{what} is not expected here")
        return self.storages.setdefault(key, Storage(kind))


def weights(path: Path) -> dict[str, Any]:
    """The tensors of the speaker encoder, by name."""
    with path.open("rb") as file:
        for _ in range(PICKLES_BEFORE):
            Unpickler(file).load()
        main = Unpickler(file)
        model = main.load()["model_state"]
        for key in Unpickler(file).load():
            storage = main.storages[key]
            (count,) = COUNT.unpack(file.read(COUNT.size))
            data = file.read(count * storage.dtype.itemsize)
            storage.numbers = np.frombuffer(data, storage.dtype)
    return {
        name: each.numbers()
        for name, each in model.items()
        if name.startswith(("lstm.", "linear."))
    }


def main(path: str) -> None:
    found = weights(Path(path))
    for lost in (name for name, numbers in found.items() if np.abs(numbers).max() > 60_000):
        raise ValueError(f"{lost} does not fit into 16 bits")
    halves = {name: numbers.astype(np.float16) for name, numbers in found.items()}
    np.savez_compressed(TARGET, allow_pickle=False, **halves)


if __name__ == "__main__":
    main(sys.argv[1])
