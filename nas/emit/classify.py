"""Run the model in this folder on images: python SCRIPT IMAGE ...  (needs numpy, pillow, onnxruntime).

Images are labelled; a model of depths writes IMAGE.depth.png instead, 16 bits a pixel, in millimetres.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def prepared(path: str, spec: dict[str, Any]) -> NDArray[Any]:
    """An image file -> float32 [C, H, W], as the model was trained."""
    how = spec["preprocessing"]
    height, width = how["size"]
    opened = ImageOps.exif_transpose(Image.open(path))
    image = opened.convert("L" if how["channels"] == 1 else "RGB")
    scale = max(height / image.height, width / image.width) / how["crop"]
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    crop = np.asarray(image.crop((left, top, left + width, top + height)), dtype=np.float32)
    pixels = crop.reshape(height, width, -1).transpose(2, 0, 1) / 255
    mean, std = (np.asarray(how[key], dtype=np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
    return (pixels - mean) / std


def main(paths: list[str]) -> None:
    spec = json.loads((HERE / "preprocess.json").read_text())
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
    size = spec["shape"][0]
    for start in range(0, len(paths), size):
        part = paths[start : start + size]
        images = np.zeros(spec["shape"], dtype=np.float32)
        images[: len(part)] = [prepared(path, spec) for path in part]
        (outputs,) = session.run([spec["output"]], {spec["input"]: images})
        for path, output in zip(part, outputs, strict=False):
            print(f"{path}: {labelled(output, spec['labels']) if output.ndim == 1 else written(output[0], path)}")


def labelled(scores: NDArray[Any], labels: list[str]) -> str:
    """The likeliest label and its chance."""
    chances = np.exp(scores - scores.max())
    best = int(scores.argmax())
    return f"{labels[best]} ({100 * chances[best] / chances.sum():.1f} %)"


def written(depths: NDArray[Any], path: str) -> str:
    """Write depths [H, W] in metres beside the image; where they lie, and between which bounds."""
    target = Path(path).with_suffix(".depth.png")
    Image.fromarray((1000 * depths).round().clip(0, 65535).astype(np.uint16)).save(target)
    return f"{depths.min():.2f} to {depths.max():.2f} m, written to {target}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"usage: python {Path(__file__).name} IMAGE ...")
    main(sys.argv[1:])
