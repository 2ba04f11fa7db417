"""Other ways to search, other ways to train, other ratios: the tables of the paper on the embedded task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nascc.nas.core import Arch, Limit
from nascc.nas.core.randomness import generator
from nascc.nas.costs import TableCost
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.finetune import prepared
from nascc.nas.hant.profile import costs_of
from nascc.nas.hant.score import SCORE, SPLIT
from nascc.nas.hant.search import Picking
from nascc.nas.hant.study import Study
from nascc.nas.phases.goals import PROFILE
from nascc.nas.regions import RegionSuperNet
from nascc.nas.run import RunDirectory
from nascc.nas.search import Learner, Settings
from nascc.nas.spaces import MacroSpace
from nascc.nas.train import Training, evaluate
from nascc.nas.train.batches import Batches
from nascc.tools.bench.hant_embedded import configured, run_all

COUNTS, RANDOM, UPDATES, BATCH = (1, 10, 50, 100), 80, 400, 64
TEN = 10
RATIOS = "0.2,0.3,0.4,0.5,0.6,0.7"


def searches(folder: Path, seed: int, settings: Sequence[str]) -> None:
    """Table 3: what each search finds with the same trained candidates at ratio 0.5, before fine-tuning."""
    config = configured(settings, seed, folder / f"pool{seed}", ratio="0.5", measured=False)
    run = run_all(folder / f"searches{seed}", config, until=SCORE)
    study = Study(config, run.path)
    picking = Picking(run, "", study)
    found: dict[str, Sequence[Arch]] = {}
    for count in COUNTS:
        more = config.model_copy(update={"solving": config.solving.model_copy(update={"candidates": count})})
        one = Picking(run, "", study)
        one.config = more
        found[f"integer program, {count}"] = [f.arch for f in one.solutions(one.costs)]
    found[f"random, {RANDOM}"] = picking.randoms(RANDOM)
    found["ten operators, 100"] = _ten(run, study, config)
    for name, estimator in (("Gumbel", "st"), ("REINFORCE", "score")):
        found[name] = _learned(study, picking, run, estimator)
    print(f"seed {seed}: best loss and accuracy before fine-tuning, of all that was found")
    for name, archs in found.items():
        judged = [picking.judged(arch) for arch in archs]
        best = min(judged, key=lambda one: one.loss)
        print(f"  {name:24} {best.loss:.3f}  {best.accuracy:.3f}  of {len(archs)}", flush=True)


def _ten(run: RunDirectory, study: Study, config: HantConfig) -> list[Arch]:
    """The same with ten operators a block: the teacher's and the first nine."""
    picking = Picking(run, "", study)
    picking.scores = [{k: v for k, v in row.items() if k < TEN} for row in picking.scores]
    picking.config = config.model_copy(update={"solving": config.solving.model_copy(update={"candidates": 100})})
    return [f.arch for f in picking.solutions(picking.costs)]


def _learned(study: Study, picking: Picking, run: RunDirectory, estimator: Any) -> list[Arch]:
    """Architecture logits learn over the trained candidates, as in other methods; weights stay."""
    net = _trained_supernet(study, picking)
    costs = costs_of(run.result(PROFILE))["latency"]
    limit = Limit(TableCost("latency", costs.table, costs.constant), picking.goal.limits["latency"])
    learner = Learner(
        study.space.choices, (limit,), Settings(steps=UPDATES, estimator=estimator), generator(0, "start")
    )
    batches = Batches(study.task.split(SPLIT), BATCH, study.config.seed, "bench")
    straight = estimator == "st"
    for step in range(UPDATES):
        draw = learner.sample(generator(study.config.seed, "bench", step))
        images, labels = batches(step)
        with torch.set_grad_enabled(straight):
            coefficients = draw.coefficients.detach().to(images.dtype).requires_grad_(straight)
            loss = F.cross_entropy(net(images, coefficients if straight else draw.arch), labels)
        gradient = torch.autograd.grad(loss, coefficients)[0] if straight else None
        learner.update(draw, float(loss), gradient)
    return [one.arch for one in learner.candidates(12) if one.within and _is_trained(picking, one.arch)]


def _is_trained(picking: Picking, arch: Arch) -> bool:
    return all(k in row for k, row in zip(arch, picking.scores, strict=True))


def _trained_supernet(study: Study, picking: Picking) -> RegionSuperNet:
    """All candidates that were trained, with the statistics of the batch; others stay as they began."""
    net = RegionSuperNet(study.space)
    for slot, row in enumerate(picking.scores):
        for index in row:
            if index:
                operators = net.slots[slot]
                assert isinstance(operators, nn.ModuleList)
                operators[index].load_state_dict(study.candidate(slot, index).state_dict())
    return net.train()


def training(folder: Path, seed: int, settings: Sequence[str]) -> None:
    """Table 4: the found student with all, without distillation, without pretrained weights, and from scratch."""
    config = configured(settings, seed, folder / f"pool{seed}", ratio="0.5", measured=False)
    run = run_all(folder / f"training{seed}", config)
    study = Study(config, run.path)
    arch: Arch = tuple(run.result("search")["arch"])
    plain = config.retrain.model_copy(
        update={"distillation": config.retrain.distillation.model_copy(update={"weight": 0})}
    )
    teacher = evaluate(study.chain, study.task.split("test"))
    print(f"seed {seed}: {study.space.name_of(arch)}; teacher {teacher.accuracy:.4f}")
    ways = {
        "all": (study.student(arch), config.retrain),
        "no distillation": (study.student(arch), plain),
        "candidates not preloaded": (study.space.build(arch), config.retrain),
        "from scratch": (_scratched(study.space.build(arch), seed), config.retrain),
        "smaller sibling, distilled": (_sibling(config, study), config.retrain),
    }
    for name, (module, recipe) in ways.items():
        one = Training(
            prepared(module, config) if hasattr(module, "places") else module,  # type: ignore[arg-type]
            study.task.split("train"),
            recipe,
            seed=seed,
            phase=f"bench {name}",
            teacher=study.chain,
        )
        for step in range(one.total):
            one.step(step)
        print(f"  {name:28} {evaluate(one.finish(), study.task.split('test')).accuracy:.4f}", flush=True)


def _scratched(module: nn.Module, seed: int) -> nn.Module:
    """Every weight drawn anew: He's normal, norms at one and zero."""
    torch.manual_seed(seed)
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
    return module


def _sibling(config: HantConfig, study: Study) -> nn.Module:
    """A network of the teacher's family of about half its cost: narrower expansions everywhere."""
    assert config.macro is not None
    space = MacroSpace(config.macro, len(study.task.classes), input_shape=study.task.input_shape)
    torch.manual_seed(config.seed)
    return space.build(tuple(slot.names.index("k3e3") for slot in space.slots))


def ratios(folder: Path, seed: int, settings: Sequence[str]) -> None:
    """Fig. 4: accuracy over what may be left of the latency."""
    config = configured(settings, seed, folder / f"pool{seed}", ratio=RATIOS, measured=False)
    run = run_all(folder / f"ratios{seed}", config)
    for goal, result in run.result("emit")["results"].items():
        score = result["best"]["score"]
        print(
            f"seed {seed}, ratio {goal}: {score['latency_ratio']:.3f} of the latency, accuracy {score['accuracy']:.4f}"
        )
