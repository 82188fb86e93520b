"""Sessions of onnxruntime, and a graph output that the model's makers did not declare."""

import onnxruntime

# Fields of onnx.proto3: ModelProto.graph, GraphProto.output, ValueInfoProto.name and .type,
# TypeProto.tensor_type; in the last, elem_type = FLOAT.
_GRAPH, _OUTPUT, _NAME, _TYPE, _TENSOR = 7, 12, 1, 2, 1
_FLOAT_ELEMENTS = b"\x08\x01"


def session(model: bytes, *, further_output: str) -> onnxruntime.InferenceSession:
    """The model on one thread, with one more of its tensors as an output.

    One thread, so that two requests run beside each other and the same input gives the same bytes.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Every piece has another length, so remembered patterns would only pile up.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(
        model + _declare_output(further_output), options, providers=["CPUExecutionProvider"]
    )


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
