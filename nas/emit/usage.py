"""What has to be done to an image before the network, written beside the model and into it."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, JsonValue

from nascc.nas.tasks.preprocessing import Preprocessing


class Usage(BaseModel):
    """The content of `preprocess.json`: the input of the model, how an image becomes one, what the outputs mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str
    shape: tuple[int, int, int, int]
    layout: str = "NCHW"
    dtype: str = "float32"
    preprocessing: Preprocessing
    output: str
    labels: tuple[str, ...]

    def metadata(self) -> dict[str, str]:
        """The same as ONNX metadata: one JSON text a key."""
        return {
            "nascc.preprocess": self.model_dump_json(exclude={"labels"}),
            "nascc.labels": "\n".join(self.labels),
        }

    def document(self) -> dict[str, JsonValue]:
        """The same as plain JSON data."""
        return self.model_dump(mode="json")


def usage_of(
    input_name: str, output_name: str, shape: Sequence[int], preprocessing: Preprocessing, labels: Sequence[str]
) -> Usage:
    """How the deployed model is fed: `shape` is [N, C, H, W]; images are resized to its H and W."""
    n, c, h, w = shape
    own = preprocessing.model_copy(update={"size": (h, w)})
    return Usage(input=input_name, output=output_name, shape=(n, c, h, w), preprocessing=own, labels=tuple(labels))
