"""The benchmark of the controller: its floors hold on a fast part of it, and it reads tables of others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nascc.nas.search import Estimator, Settings
from nascc.tools.bench.controller import Series, main
from nascc.tools.bench.controller_search import Outcome, Start, best_of, limit_at, outcome, searched
from nascc.tools.bench.controller_tables import PROBLEMS, read
from nascc.tools.errors import CommandError

GOOD = Outcome(likely=1.01, before=0.99, after=0.985, swaps=1, utility=0.99, share=0.98, reranked=1.0)


@pytest.mark.parametrize(
    ("table", "fraction", "start", "estimator"),
    [
        ("lightnas", 0.2, "slowest", "st"),
        ("lightnas", 0.5, "slowest", "score"),
        ("heavy", 0.65, "fastest", "score"),
        ("ragged", 0.8, "fastest", "st"),
        ("ragged", 0.35, "slowest", "score"),
        ("six", 0.2, "fastest", "score"),
    ],
)
def test_one_search_keeps_the_limit_and_comes_near_the_optimum(
    table: str, fraction: float, start: Start, estimator: Estimator
) -> None:
    problem = PROBLEMS[table](seed=7)
    limit = limit_at(problem, fraction)
    learner = searched(problem, limit, start, Settings(600, lr=0.08, estimator=estimator), seed=0)
    found = outcome(problem, limit, best_of(problem, limit), learner)
    assert 0.97 <= found.after <= 1
    assert abs(found.before - 1) <= 0.03
    assert found.swaps <= 3
    assert found.share >= 0.95
    assert found.utility <= found.reranked <= 1 + 1e-9


def test_floors() -> None:
    series = Series("lightnas", "score", "damped", (GOOD, replace(GOOD, before=1.01)))
    assert all(check.reached for check in series.floors)
    assert series.misses == pytest.approx((0.01, 0.01))


@pytest.mark.parametrize(
    ("bad", "missed"),
    [
        (replace(GOOD, after=1.001), "break the limit"),
        (replace(GOOD, after=0.96), "least share of the limit"),
        (replace(GOOD, before=1.2), "before repair"),
        (replace(GOOD, swaps=4), "swaps"),
        (replace(GOOD, share=0.94), "utility / optimum"),
    ],
)
def test_misses_are_named(bad: Outcome, missed: str) -> None:
    floors = Series("lightnas", "score", "damped", (GOOD, bad)).floors
    assert [missed in check.text for check in floors if not check.reached] == [True]


def test_reads_a_table_and_searches_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"table": [[1, 2, 4], [3], [0.5, 2.5], [2, 6, 1]] * 2, "constant": 1}))
    main(["--table", str(path), "--quick", "--steps", "60", "--json", str(tmp_path / "out.json")])
    assert "searches that break the limit: 0.000" in capsys.readouterr().out
    assert [series["controller"] for series in json.loads((tmp_path / "out.json").read_text())] == ["damped", "paper"]


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "no", '{"table": [["a"]]}'])
def test_refuses_what_is_no_table(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(CommandError, match="must hold a list of rows"):
        read(path, 0)
