"""HANT keeps the contracts of a search method; candidates are trained once, whatever is asked for later."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.conformance import MethodConformance
from nas.hant_kit import OPERATORS, pool_files, quick
from nascc.compiler import compile
from nascc.compiler.capture import captured_graph
from nascc.nas.errors import BadBudget, BudgetInfeasible, LimitBroken, SearchError
from nascc.nas.hant import meters
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.emit import EMIT
from nascc.nas.hant.finetune import finetuned
from nascc.nas.hant.goals import Range, goals_of, names_of
from nascc.nas.hant.judging import Judged
from nascc.nas.hant.pretrain import NAME as PRETRAIN
from nascc.nas.hant.profile import costs_of
from nascc.nas.hant.score import SCORE, scores_of
from nascc.nas.hant.search import TOLERANCE, Picking
from nascc.nas.hant.students import student_graph
from nascc.nas.hant.study import Study
from nascc.nas.methods import METHODS, SearchMethod, phases_of, run_method
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import PROFILE
from nascc.nas.regions import Candidate, CandidateStore
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.run.threads import threads
from nascc.passes import graph as g
from run_kit import contents

SLOW_ON_NANO = "bot_e1"
"""Slower than the tiny teacher's blocks on nano, faster on cpu."""


def spied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Blocks and operators of the candidates that are trained from now on."""
    put, trained = CandidateStore.put, list[str]()

    def spy(store: CandidateStore, candidate: Candidate, module: nn.Module) -> None:
        trained.append(f"{candidate.region} {candidate.operator}")
        put(store, candidate, module)

    monkeypatch.setattr(CandidateStore, "put", spy)
    return trained


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is done in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def run_all(path: Path, config: HantConfig, until: str | None = None) -> RunDirectory:
    with RunDirectory.resume(path, config) as run, threads(config.threads):
        run_phases(phases_of(METHODS["hant"], config), run, until=until)
    return run


class TestHant(MethodConformance):
    @classmethod
    def method(cls) -> SearchMethod:
        return METHODS["hant"]

    @classmethod
    def config(cls) -> RunConfig:
        return quick()

    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("undisturbed") / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.cpu_count", lambda: 1)
            with RunDirectory.create(path, cls.config()) as run:
                run_method(cls.method(), run)
        return path

    @pytest.mark.slow
    def test_a_run_that_is_killed_ends_as_if_it_was_not(self, done: Path, tmp_path: Path) -> None:
        """The same promise is kept in the default suite by runs that are stopped, and by rounds that are missing."""
        super().test_a_run_that_is_killed_ends_as_if_it_was_not(done, tmp_path)

    def test_limits_hold_on_the_compiled_graph(self, done: Path) -> None:
        """The emitted file costs what is told, and at most 1.05 of the budget, of the whole network."""
        config = quick()
        with RunDirectory.resume(done, config) as run:
            told, profile = run.result(EMIT)["results"][""], run.result(PROFILE)
            arch = tuple(run.result("search")["arch"])
        study = Study(config, done)
        graph = student_graph(study, arch, finetuned(study, "found", arch))
        compiled = compile(captured_graph(graph), target=config.target, verify=False)
        latency = compiled.report.latency
        assert latency is not None
        limit = profile["limits"][""]["latency"]
        assert limit == pytest.approx(0.8 * profile["tables"]["latency"]["teacher"])
        assert latency.median_ms == pytest.approx(told["best"]["cost"]["latency"], abs=1e-4)
        assert 0.3 * limit < latency.median_ms <= TOLERANCE * limit

    def test_the_teachers_own_architecture_is_the_teacher(self, done: Path) -> None:
        """Bit for bit, down to the bytes of the file."""
        study = Study(quick(), done)
        graph = student_graph(study, study.space.teacher_arch, study.student(study.space.teacher_arch))
        whole = study.teacher.at_batch(4)
        one, other = (compile(captured_graph(x), target="nano", verify=False).onnx for x in (graph, whole))
        assert one.SerializeToString() == other.SerializeToString()
        costs = costs_of(json.loads((done / PROFILE / "result.json").read_text())["result"])
        assert costs["latency"].of(study.space.teacher_arch) == pytest.approx(costs["latency"].teacher)

    def test_tables_add_up_to_compiled_students(self, done: Path) -> None:
        study = Study(quick(), done)
        costs = costs_of(json.loads((done / PROFILE / "result.json").read_text())["result"])["latency"]
        for arch in ((1, 2, 3), (2, 0, 4), (3, 1, 0)):
            graph = student_graph(study, arch, study.space.build(arch).eval())
            latency = compile(captured_graph(graph), target="nano", verify=False, lower=False).report.latency
            assert latency is not None
            assert costs.of(arch) == pytest.approx(latency.median_ms, rel=0.02)

    def test_scores_of_the_teacher_are_nothing(self, done: Path) -> None:
        with RunDirectory.resume(done, quick()) as run:
            rows = scores_of(run.result(SCORE)["rows"])
        assert all(row[0] == Judged(0.0, 0.0) for row in rows)
        assert all(len(row) > 1 for row in rows)

    def test_the_report_tells_all_there_is(self, done: Path) -> None:
        with RunDirectory.resume(done, quick()) as run:
            search, emitted = run.result("search"), run.result(EMIT)["results"][""]
        assert search["taus"].keys() == {"solutions", "random"}
        losses = [candidate["loss"] for candidate in search["search"]["candidates"]]
        assert losses == sorted(losses) and len(losses) == 3
        assert sum(emitted["operators"].values()) == 3
        assert {"accuracy", "teacher_accuracy", "latency_ratio"} <= emitted["best"]["score"].keys()
        assert (done / "deploy" / "model.onnx").exists()

    def test_one_pool_serves_other_budgets_and_targets(
        self, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three budgets and two targets: nothing is trained twice, and what did not pay is once a target wants it."""
        shutil.copytree(done / "pool", pool := tmp_path / "pool")
        before, trained = contents(pool), spied(monkeypatch)
        own: dict[str, Any] = {"pool": str(pool), "operators": [*OPERATORS, SLOW_ON_NANO]}
        for number, asked in enumerate(({"ratio": "0.9,0.7"}, {"ratio": None, "budgets": {"latency": "50%"}})):
            path = tmp_path / f"run{number}"
            assert run_all(path, quick(**own, **asked), until=PRETRAIN).result(PRETRAIN)["candidates"] > 0
            assert not (path / "pool").exists()
        assert not trained and contents(pool) == before
        run_all(tmp_path / "other", quick(**own, target="cpu"), until=PRETRAIN)
        assert trained == [f"block{slot} {SLOW_ON_NANO}" for slot in range(3)]
        assert before.items() <= contents(pool).items()

    def test_candidates_are_trained_for_other_targets_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `also` the pool is ready for them."""
        trained = spied(monkeypatch)
        own: dict[str, Any] = {"pool": str(tmp_path / "pool"), "operators": [SLOW_ON_NANO]}
        run_all(tmp_path / "run", quick(**own, also=["cpu"]), until=PRETRAIN)
        assert sum(SLOW_ON_NANO in name for name in trained) == 3 and len(trained) > 3
        trained.clear()
        run_all(tmp_path / "other", quick(**own, target="cpu"), until=PRETRAIN)
        assert not trained

    def test_adding_an_operator_trains_only_itself(self, done: Path, tmp_path: Path) -> None:
        pool = tmp_path / "pool"
        shutil.copytree(done / "pool", pool)
        before = pool_files(pool)
        run_all(tmp_path / "run", quick(pool=str(pool), operators=[*OPERATORS, "cb_res_k3"]), until=PRETRAIN)
        after = pool_files(pool)
        assert {name: after[name] for name in before} == before
        new = set(after) - set(before)
        assert new and all("cb_res_k3" in name for name in new)

    def test_candidates_that_pay_nowhere_are_not_trained(self, done: Path) -> None:
        with RunDirectory.resume(done, quick()) as run:
            profile = run.result(PROFILE)
        table = costs_of(profile)["latency"].table
        for row, wanted in zip(table, profile["wanted"], strict=True):
            assert wanted == [k for k in range(1, len(row)) if row[k] <= row[0] * (1 + 1e-9)]
        names = {name.rsplit("-", 1)[0] for name in pool_files(done / "pool")}
        assert len(names) == sum(map(len, profile["wanted"]))

    def test_a_compiled_network_above_its_budget_is_repaired_once(self, done: Path) -> None:
        with RunDirectory.resume(done, quick()) as run:
            picking = Picking(run, "", Study(quick(), done))
        solutions = picking.solutions(picking.costs)
        judged = [(one, picking.judged(one.arch)) for one in solutions]
        true = picking.compiled
        first, _, repaired = picking.within(judged)
        assert not repaired and first in [one.arch for one in solutions]
        limit = picking.goal.limits["latency"]
        picking.compiled = lambda arch: {"latency": 1.2 * limit} if arch == first else true(arch)  # type: ignore
        arch, cost, repaired = picking.within(judged)
        assert repaired and arch != first and cost["latency"] <= TOLERANCE * limit
        picking.compiled = lambda arch: {"latency": 9.0 * limit}  # type: ignore[method-assign]
        with pytest.raises(LimitBroken, match="at most 1.02 of its budget"):
            picking.within(judged)

    def test_several_budgets_hold_at_once(self, done: Path, tmp_path: Path) -> None:
        config = quick(ratio="0.9", budgets={"params": "70%", "bytes": "80%"}, pool=str(done / "pool"))
        run = run_all(tmp_path / "run", config)
        told = run.result(EMIT)["results"][""]
        assert told["limits"].keys() == {"latency", "params", "bytes"}
        assert all(told["best"]["cost"][m] <= TOLERANCE * at_most for m, at_most in told["limits"].items())


def test_what_is_interrupted_between_rounds_is_not_trained_again(tmp_path: Path) -> None:
    config = quick()
    run_all(tmp_path / "run", config, until=PRETRAIN)
    (tmp_path / "run" / PRETRAIN / "result.json").unlink()
    before = pool_files(tmp_path / "run" / "pool")
    gone = next(iter(before))
    (tmp_path / "run" / "pool" / gone).unlink()
    run_all(tmp_path / "run", config, until=PRETRAIN)
    after = pool_files(tmp_path / "run" / "pool")
    assert {name: stamp for name, stamp in after.items() if name != gone} == {
        name: stamp for name, stamp in before.items() if name != gone
    }
    assert gone in after


def test_ratios_refer_to_the_whole_network() -> None:
    config = quick(ratio="0.7,0.5")
    goals = goals_of(config, {"latency": Range(0.2, 2.0)})
    assert [(goal.name, goal.limits) for goal in goals] == [("0.7", {"latency": 1.4}), ("0.5", {"latency": 1.0})]
    assert names_of(config) == ("0.7", "0.5")


@pytest.mark.parametrize(
    ("asked", "error", "reason"),
    [
        ({"ratio": "0.05"}, BudgetInfeasible, r"0.2 ms to 2 ms of latency \(ratio 0.1 to 1\)"),
        ({"ratio": "1.5"}, BadBudget, "at most 1"),
        ({"ratio": "half"}, BadBudget, "must be a number"),
        ({"ratio": "0.5,0.50"}, BadBudget, "must differ"),
        ({"ratio": "0.5,0.4", "budgets": {"params": "50%,60%"}}, BadBudget, "one budget may have several values"),
        ({"ratio": "0.5", "budgets": {"latency": "3ms"}}, SearchError, "both budgets of latency"),
        ({"operators": ["efn_k4"]}, SearchError, "one of the pool"),
        ({"new_head": True}, SearchError, "must come with a network"),
        ({"measured": True, "target": "nano"}, SearchError, "must be cpu"),
    ],
)
def test_what_can_not_be_asked_for(asked: dict[str, Any], error: type[SearchError], reason: str) -> None:
    ranges = {"latency": Range(0.2, 2.0), "params": Range(100.0, 1000.0)}
    with pytest.raises(error, match=reason):
        goals_of(quick(**asked), ranges)


def test_shares_are_of_what_can_be_saved() -> None:
    config = quick(ratio=None, budgets={"params": "25%"})
    (goal,) = goals_of(config, {"params": Range(100.0, 1000.0)})
    assert goal.limits == {"params": 325.0}


def test_corrected_tables_tell_what_was_found() -> None:
    costs = costs_of({"tables": {"latency": {"table": [[2.0, 1.0], [2.0, 1.0]], "constant": 1.0, "teacher": 5.0}}})
    corrected = costs["latency"].corrected(told=3.0, truth=4.0)
    assert corrected.of((1, 1)) == pytest.approx(4.0)
    assert corrected.constant == 1.0


def test_archs_are_different_students(tmp_path: Path) -> None:
    """Every legal student of the tiny space can be built, and its parts are its own."""
    from nas.hant_kit import space

    built = space(("cb_res_k1",))
    archs = list(itertools.product(*map(range, built.choices)))
    x = torch.randn(2, 1, 12, 12)
    with torch.no_grad():
        results = [built.build(arch).eval()(x) for arch in archs]
    assert len({tuple(map(float, r.flatten())) for r in results}) == len(archs)
    assert g.parameter_count(built.teacher.graph) > 0


def test_latencies_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operator among its neighbours, and whole students, are run; how fast is not for a test to say."""
    monkeypatch.setattr(meters, "ROUNDS", 4)
    config = quick(operators=["cb_res_k1"], measured=True, target="cpu", ratio="0.99")
    run = run_all(tmp_path / "run", config, until=PROFILE)
    told, study = costs_of(run.result(PROFILE))["latency"], Study(config, run.path)
    assert told.of(study.space.teacher_arch) == pytest.approx(told.teacher) and told.teacher > 0
    for slot, row in zip(study.space.slots, told.table, strict=True):
        assert len(row) == len(slot.ops) and (0.0 in row) == ("identity" in slot.names)


def test_candidates_that_diverge_are_told_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = quick(operators=["cb_res_k1"])
    run_all(tmp_path / "run", config, until=PROFILE)
    monkeypatch.setattr(
        "nascc.nas.hant.pretraining.Round._loss", lambda self, told, wanted: (told - wanted).sum() * float("nan")
    )
    run = run_all(tmp_path / "run", config, until=SCORE)
    told = run.result(PRETRAIN)
    assert told["diverged"] and "diverged and are left out: block" in told["warnings"][0]
    assert all(set(row) <= {"teacher", "1"} for row in run.result(SCORE)["rows"])
