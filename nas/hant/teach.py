"""The first phase: the teacher, trained where there is none or where it gets a new head, and how good it is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import torch
from safetensors.torch import save
from torch import nn

from nascc.nas.checkpoint import save_checkpoint
from nascc.nas.core.randomness import derive
from nascc.nas.errors import SearchError
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.study import CHECKPOINT, CONSTANTS, PROGRAM, TEACH, Study, Workbench
from nascc.nas.phases.networks import Network
from nascc.nas.regions import Chain, Teacher
from nascc.nas.regions.norms import Norm, constants_of
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.nas.train import Training, evaluate

SHOWN = 3
CHANCE = 1.5
"""Below so many times the accuracy of chance, classes are likely in another order."""


@dataclass(frozen=True)
class Teach:
    """Trains the embedded teacher, or a new head with all that is before it; else only looks at what came."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = TEACH

    def run(self, run: RunDirectory) -> None:
        """Write the teacher and how it does on the test images. Raises SearchError, CompileError."""
        study = self.bench.study(run)
        if study.config.new_head:
            self._train_head(run, study)
        elif study.config.model is None:
            self._train_embedded(run, study)
        elif not (run.path / PROGRAM).exists():
            raise SearchError(f"'{run.path}' must hold the network {PROGRAM}, but it is gone; start anew")
        result = evaluate(study.chain, study.task.split("test"))
        blocks = [place.name for place in study.teacher.places]
        idle = idle_blocks(study.teacher)
        warnings = [*_warnings(result.accuracy, len(study.task.classes)), *([told_idle(idle)] if idle else [])]
        run.finish(self.name, {"test": asdict(result), "blocks": blocks, "warnings": warnings})

    def _train_embedded(self, run: RunDirectory, study: Study) -> None:
        config, task = study.config, study.task
        network = embedded(config, len(task.classes))
        torch.manual_seed(derive(config.seed, "weights", self.name))
        module = network.build(task.input_shape)
        self._train(run, study, module)
        shape = "x".join(map(str, (1, *task.input_shape)))
        save_checkpoint(run.path / CHECKPOINT, "searched", network.config, module, [f"x:{shape}"])

    def _train_head(self, run: RunDirectory, study: Study) -> None:
        chain = study.untaught.chain()
        self._train(run, study, chain)
        constants = {name: tensor for part in chain.parts for name, tensor in constants_of(part).items()}
        write_whole(run.path / CONSTANTS, save({n: t.detach().contiguous() for n, t in constants.items()}))

    def _train(self, run: RunDirectory, study: Study, module: nn.Module | Chain) -> None:
        config = study.config
        training = Training(module, study.task.split("train"), config.teaching, seed=config.seed, phase=self.name)
        steps = run.steps(self.name, training.total, save=training.state, load=training.load)
        for step in steps:
            row = training.step(step)
            if row is not None:
                steps.log(**row)
        training.finish()


def _warnings(accuracy: float, classes: int) -> list[str]:
    """What to tell of a network that knows no more than chance."""
    if accuracy > CHANCE / classes:
        return []
    return [
        f"the network is right on {100 * accuracy:.1f} % of the test images, about as chance is; "
        "its classes must be those of the data, in their order"
    ]


def idle_blocks(teacher: Teacher) -> tuple[str, ...]:
    """Names of the blocks in which a norm multiplies everything by zero, as many begin."""
    chain = teacher.chain()
    return tuple(
        place.name
        for slot, place in enumerate(teacher.places)
        for norms in [[n for n in chain.block(slot).modules() if isinstance(n, Norm) and n.affine]]
        if any(not bool(n.weight.any()) for n in norms)
    )


def told_idle(names: Sequence[str]) -> str:
    """What to tell of them."""
    shown = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
    return (
        f"{len(names)} blocks multiply what they compute by zero ({shown}), so that the compiled network is without it "
        "already and little can be saved; a network must be trained before it is compressed"
    )


def embedded(config: HantConfig, classes: int) -> Network:
    """The network that is trained where the user has none. Raises SearchError for an operator that the macro lacks."""
    macro = config.macro
    assert macro is not None, "the preset has one"
    macro = macro.model_copy(update={"operators": (config.teacher_operator,)})
    blocks = sum(stage.blocks for stage in macro.stages)
    return Network("teacher", "", "teacher", (0,) * blocks, macro, classes)
