"""Where and how networks of a search will run: costs refer to this, whatever training uses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from torch import fx, nn
from torch.export import ExportedProgram

from nascc.compiler.compile import compile
from nascc.compiler.estimates import deployed_kernels
from nascc.nas.core.space import Arch
from nascc.nas.errors import SearchError
from nascc.runtime.kernels import Kernel, condense
from nascc.runtime.latency import setting_of
from nascc.runtime.profile import Target

_ARCHITECTURE = "nascc.architecture"


@dataclass(frozen=True)
class Deployment:
    """A target in a power mode, and how many images run at once; None stands for the target's own mode and opset.

    `collapse` is when the compiler makes fewer operators of linear ones: `auto`, `always` or `never`.
    """

    target: Target
    batch: int = 1
    power_mode: str | None = None
    opset: int | None = None
    collapse: str = "auto"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise SearchError(f"the batch size of a deployment must be at least 1, got {self.batch}")

    def shape(self, image: Sequence[int]) -> str:
        """An input of images (C, H, W) as `--shapes` writes it."""
        return "x".join(map(str, (self.batch, *image)))

    def compiled(self, module: nn.Module | ExportedProgram, image: Sequence[int]) -> fx.GraphModule:
        """The compiled graph of a module that reads images (C, H, W)."""
        return compiled_graph(module, [self.shape(image)], self.target, self.power_mode, collapse=self.collapse)

    def kernels(self, graph: fx.GraphModule) -> tuple[Kernel, ...]:
        """The kernels a compiled graph runs as on the target, equal ones counted."""
        return condense(deployed_kernels(graph, self.target, self.opset))

    @property
    def identity(self) -> str:
        """What descriptions made here hold for: they are of no use in another place, or to another nascc."""
        setting = setting_of(self.target, self.power_mode)
        profile = hashlib.sha256(self.target.model_dump_json().encode()).hexdigest()[:16]
        mode = setting.power_mode or "no power modes"
        runs = f"{mode}, {setting.precision}, opset {self.opset or self.target.opset}, batch {self.batch}"
        runs += "" if self.collapse == "auto" else f", collapse {self.collapse}"
        return f"{self.target.name} {profile}, {runs}, nascc {version('nascc')}"


def compiled_graph(
    module: nn.Module | ExportedProgram,
    shapes: Sequence[str],
    target: Target,
    power_mode: str | None = None,
    arch: Arch | None = None,
    collapse: str = "auto",
) -> fx.GraphModule:
    """The graph that the compiler's passes for a target leave of a module, as `Cost.of_graph` takes it.

    `shapes` are those of `nascc fuse --shapes`; `arch` is noted in the graph, see `note_architecture`. Nothing is
    verified and nothing lowered. Raises CompileError.
    """
    graph = compile(
        module, shapes=shapes, target=target, power_mode=power_mode, collapse=collapse, verify=False, lower=False
    ).graph
    if arch is not None:
        note_architecture(graph, arch)
    return graph


def note_architecture(graph: fx.GraphModule, arch: Arch) -> None:
    """Write down which architecture a compiled graph came from, for costs that rest on measurements."""
    graph.meta[_ARCHITECTURE] = tuple(arch)


def noted_architecture(graph: fx.GraphModule) -> Arch:
    """The architecture a compiled graph came from. Raises SearchError where none was noted."""
    found = graph.meta.get(_ARCHITECTURE)
    if found is None:
        raise SearchError(
            "a measured cost must know which architecture a graph came from, and this graph does not say; "
            "compile it with `compiled_graph(..., arch=arch)`, or ask the cost about the architecture"
        )
    return tuple(found)
