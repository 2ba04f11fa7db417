"""LightNAS keeps the contracts of a search method."""

from nas.conformance import MethodConformance
from nas.search_kit import SETTINGS, tiny_macro
from nascc.nas.methods import METHODS, SearchMethod
from nascc.nas.methods.configure import configure, merged
from nascc.nas.phases.config import RunConfig
from nascc.nas.tasks import TaskConfig
from nascc.tools.overrides import parse_overrides


class TestLightNAS(MethodConformance):
    @classmethod
    def method(cls) -> SearchMethod:
        return METHODS["lightnas"]

    @classmethod
    def config(cls) -> RunConfig:
        values = parse_overrides(f"{key}={value}" for key, value in SETTINGS.items())
        task = TaskConfig(resolution=(12, 12), **values.pop("task"))
        asked = merged(values, {"macro": tiny_macro(), "budgets": {"latency": "50%"}, "baselines": "none"})
        return configure(cls.method(), "toy", "nano", task, asked)
