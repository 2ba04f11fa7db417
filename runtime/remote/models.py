"""Copy ONNX models to a device, with the files that hold their weights."""

import shlex
from pathlib import Path, PurePosixPath

from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

from nascc.runtime.onnx_file import read_onnx
from nascc.runtime.remote.link import Link


def put_model(link: Link, path: Path, folder: str) -> str:
    """Copy a model into `folder` of the device as `model.onnx`; returns its path there.

    Raises what `read_onnx` raises, DeviceUnreachable, DeviceFailed.
    """
    names = sorted({ExternalDataInfo(t).location for t in _get_all_tensors(read_onnx(path)) if uses_external_data(t)})
    folders = sorted({folder, *(str(PurePosixPath(folder) / PurePosixPath(name).parent) for name in names)})
    link.script(f"mkdir -p {shlex.join(folders)}")
    for name in names:
        link.put(path.parent / name, f"{folder}/{name}")
    return link.put(path, f"{folder}/model.onnx")
