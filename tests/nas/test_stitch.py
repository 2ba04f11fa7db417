"""Networks stitched from blocks that were lowered once: the same as compiled whole; measured, kept and resumed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from nascc.compiler import compile
from nascc.nas.core.randomness import rng
from nascc.nas.costs import Deployment, Describer, describe, read_networks
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.errors import RunMismatch
from nascc.nas.macro import load_macro
from nascc.nas.measured.campaign import TABLE, Campaign, noise_of, qualities
from nascc.nas.measured.journal import JOURNAL
from nascc.nas.measured.stitch import Stitcher
from nascc.nas.spaces import MacroSpace
from nascc.runtime.errors import DeviceUnreachable
from nascc.runtime.profile import load_target
from nascc.runtime.remote.fleet import Job, Measured
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.tools.app import main


@pytest.fixture(scope="module")
def described() -> DescribedSpace:
    space = MacroSpace(load_macro("toy"), 10, ("k3e3", "k5e3", "skip"), (1, 24, 24))
    return describe(space, Describer(Deployment(load_target("cpu"), 2)))


@pytest.fixture(scope="module")
def stitcher(described: DescribedSpace) -> Stitcher:
    return Stitcher(described)


def same_outputs(stitcher: Stitcher, archs: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> None:
    """Bit for bit what the ordinary export of the same network gives."""
    feed = {"images": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    words = "x".join(map(str, shape))
    for arch in archs:
        model = stitcher.emit(arch)
        onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
        whole = compile(
            stitcher.module(arch), shapes=[words], input_names=["images"], output_names=["scores"], verify=False,
            target=stitcher.described.deployment.target,
        )  # fmt: skip
        with OnnxRunner(model) as one, OnnxRunner(whole.onnx) as other:
            assert np.array_equal(one.run(feed)["scores"], other.run(feed)["scores"])


def test_a_stitched_network_is_the_compiled_one(described: DescribedSpace, stitcher: Stitcher) -> None:
    draw = rng(0, "stitch")
    skips = tuple(len(slot.names) - 1 for slot in described.space.slots)
    same_outputs(stitcher, [skips, *(described.space.random(draw) for _ in range(2))], (2, 1, 24, 24))


def test_every_block_is_lowered_once(described: DescribedSpace, stitcher: Stitcher) -> None:
    draw = rng(1, "stitch")
    archs = [described.space.random(draw) for _ in range(30)]
    first = [stitcher.emit(arch) for arch in archs]
    lowered = stitcher.lowered
    assert [stitcher.emit(arch) for arch in archs] == first and stitcher.lowered == lowered <= 30


@pytest.mark.slow
def test_lightnas_at_112_is_the_compiled_one() -> None:
    space = MacroSpace(load_macro("lightnas"), 1000, None, (3, 112, 112))
    stitcher, draw = Stitcher(describe(space, Describer(Deployment(load_target("cpu"))))), rng(0, "stitch")
    same_outputs(stitcher, [space.random(draw) for _ in range(20)], (1, 3, 112, 112))


class StandInPool:
    """A stand-in for boards: latencies are made up from the size of the model, and it may go away."""

    def __init__(self, lasts: float = float("inf")) -> None:
        self.lasts, self.seen = lasts, list[int]()

    def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
        for job in jobs:
            if len(self.seen) >= self.lasts:
                raise DeviceUnreachable("the stand-in went away")
            self.seen.append(job.number)
            noise = 1 + 0.01 * np.sin(job.number)
            done(Measured(job.number, len(job.emit()) / 1e4 * noise, 0.5, "stand-in"))


class TestCampaign:
    def campaign(self, described: DescribedSpace, folder: Path, samples: int = 60) -> Campaign:
        return Campaign(folder, described.space, samples, 0, "toy, stand-in")

    def test_measures_keeps_and_goes_on(self, described: DescribedSpace, stitcher: Stitcher, tmp_path: Path) -> None:
        whole, cut = self.campaign(described, tmp_path / "whole"), self.campaign(described, tmp_path / "cut")
        whole.run(stitcher, StandInPool())
        with pytest.raises(DeviceUnreachable):
            cut.run(stitcher, StandInPool(lasts=17))
        assert len(cut.measured()) == 17
        journal = tmp_path / "cut" / JOURNAL
        journal.write_text(journal.read_text() + '{"number": 17, "rat')  # a kill in the middle of a line
        rest = StandInPool()
        cut.run(stitcher, rest)
        assert sorted(rest.seen) == list(range(17, len(cut.plan()))), "nothing is measured twice"
        assert (tmp_path / "cut" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()
        assert len(read_networks(tmp_path / "cut" / TABLE, described.space)) == 60

    def test_judges_predictors_beside_the_noise(
        self, described: DescribedSpace, stitcher: Stitcher, tmp_path: Path
    ) -> None:
        campaign = self.campaign(described, tmp_path)
        campaign.run(stitcher, StandInPool())
        archs, values, pairs = campaign.values()
        assert len(archs) == len(values) == len(set(archs)) == 60 and len(pairs) == 2
        assert 0 < (noise_of(pairs) or 0) < 0.02
        found = {q.predictor: q for q in qualities(campaign, described.cost("params"))}
        assert set(found) == {"residual", "affine", "ridge", "mlp"} and found["residual"].relative < 0.05

    def test_boards_count_by_their_anchor(self, described: DescribedSpace, tmp_path: Path) -> None:
        campaign = self.campaign(described, tmp_path, 3)
        rows = [Measured(0, 2.0, 1.0, "a"), Measured(1, 3.0, 5.0, "b"), Measured(2, 4.0, 1.1, "a")]
        (tmp_path / JOURNAL).write_text("".join(json.dumps(vars(row)) + "\n" for row in rows))
        assert campaign.values()[1] == [2.0, 3.0, 4.0]

    def test_more_samples_begin_with_the_same(self, described: DescribedSpace, tmp_path: Path) -> None:
        assert self.campaign(described, tmp_path, 30).plan() == self.campaign(described, tmp_path, 60).plan()[:31]

    def test_another_campaign_is_told(self, described: DescribedSpace, stitcher: Stitcher, tmp_path: Path) -> None:
        self.campaign(described, tmp_path, 3).run(stitcher, StandInPool())
        with pytest.raises(RunMismatch, match="folder of the same measurements"):
            Campaign(tmp_path, described.space, 3, 1, "toy").run(stitcher, StandInPool())

    def test_noise_of_pairs(self) -> None:
        assert noise_of([]) is None and noise_of([(1.0, 1.0)]) == 0
        draw = np.random.default_rng(0)
        noisy = np.exp(0.02 * draw.standard_normal((20_000, 2)))
        assert noise_of([tuple(p) for p in noisy]) == pytest.approx(0.02, rel=0.02)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "either --measurements or --space"),
        (["--space", "toy", "--measurements", "x.csv"], "either --measurements or --space"),
        (["--space", "toy", "--target", "nano"], "--device must name a board that is a 'nano'"),
        (["--space", "toy", "--shapes", "3x3"], "must be four sizes"),
    ],
)
def test_profile_refuses(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = [] if "--target" in words else ["--target", "cpu"]
    assert main(["profile", *words, *target, "-o", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
