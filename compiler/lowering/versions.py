"""Which ONNX operator sets nascc writes, and the IR version that goes with each."""

IR_VERSION_OF_OPSET = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}


def ir_version_of(opset: int) -> int:
    """The IR version that belongs to an operator set.

    Raises ValueError for an operator set that nascc does not write.
    """
    if opset not in IR_VERSION_OF_OPSET:
        low, high = min(IR_VERSION_OF_OPSET), max(IR_VERSION_OF_OPSET)
        raise ValueError(f"opset must be between {low} and {high}, got {opset}")
    return IR_VERSION_OF_OPSET[opset]
