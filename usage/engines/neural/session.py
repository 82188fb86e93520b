"""Sessions of onnxruntime, and a graph output that the model's makers did not declare."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime
from numpy.typing import NDArray

# Fields of onnx.proto3: ModelProto.graph, GraphProto.output, ValueInfoProto.name and .type,
# TypeProto.tensor_type; in the last, elem_type = FLOAT.
_GRAPH, _OUTPUT, _NAME, _TYPE, _TENSOR = 7, 12, 1, 2, 1
_FLOAT_ELEMENTS = b"\x08\x01"


class Session:
    """The model on one thread, with one more of its tensors as an output.

    One thread, so that two requests run beside each other and the same input gives the same bytes.
    """

    def __init__(self, model: bytes, *, further_output: str, shrinks: bool = False) -> None:
        self._session = _inference(model + _declare_output(further_output))
        self._options = onnxruntime.RunOptions()
        if shrinks:
            # Gives memory back after each run. Else it stays at what the longest piece needed and
            # grows on from there: 700 MB of Kokoro instead of 410.
            self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, outputs: Sequence[str] | None, feed: Mapping[str, Any]) -> list[NDArray[Any]]:
        """The outputs of those names; all, the further one last, if None."""
        found: list[NDArray[Any]] = self._session.run(outputs, dict(feed), self._options)
        return found


def _inference(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Every piece has another length, so remembered patterns would only pile up.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _declare_output(name: str) -> bytes:
    """Bytes to append to a serialised model: protobuf merges messages that follow each other."""
    tensor = _field(_TYPE, _field(_TENSOR, _FLOAT_ELEMENTS))
    return _field(_GRAPH, _field(_OUTPUT, _field(_NAME, name.encode()) + tensor))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content
