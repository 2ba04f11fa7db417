"""trtexec without TensorRT: flags of every version, command lines, logs of every version, logs cut short, failures."""

import json
import re
from itertools import product

import numpy as np
import pytest

import trtexec_logs as logs
from nascc.runtime.errors import BuildFailed, DeviceFailed, RuntimeTargetError, WrongDevice
from nascc.runtime.runners.base import TensorSpec
from nascc.runtime.trtexec.command import Build, build_words, is_typed, profile_words, run_words, time_words
from nascc.runtime.trtexec.failures import failure_of
from nascc.runtime.trtexec.flags import columns, flags_of
from nascc.runtime.trtexec.layers import loads, parse_layers, parse_times, type_of
from nascc.runtime.trtexec.log import parse_log
from nascc.runtime.trtexec.results import outputs, run_times
from nascc.runtime.trtexec.version import version_in

VERSIONS = ("8.2.1", "8.5.2", "8.6.1", "10.3.0", "11.1.0")
SHAPES = {"x": (1, 3, 8, 8)}


@pytest.mark.parametrize(("version", "precision"), list(product(VERSIONS, ("fp32", "fp16", "int8"))))
def test_every_command_line_is_in_the_table(version: str, precision: str) -> None:
    flags = flags_of(version)
    pins = ["stem/conv"] if flags.has("--layerPrecisions") and precision != "fp32" else []
    build = Build("a b.onnx", "net.engine", precision, SHAPES, pins, 512, "timing.cache")  # type: ignore[arg-type]
    lines = (
        build_words(version, build), time_words(version, "e", SHAPES), profile_words(version, "e", SHAPES),
        run_words(version, "e", {"x": "x.bin"}, SHAPES),
    )  # fmt: skip
    for words in lines:
        assert flags.problems(words) == []
        assert all(flags.known[word.partition("=")[0]].state == "Y" for word in words)


@pytest.mark.parametrize(
    ("version", "there", "gone"),
    [
        ("8.2.1", "--buildOnly --fp16 --workspace", "--skipInference --memPoolSize --layerPrecisions --stronglyTyped"),
        ("8.5.2", "--buildOnly --fp16 --memPoolSize --layerPrecisions", "--skipInference --workspace"),
        ("8.6.1", "--skipInference --fp16 --memPoolSize --layerPrecisions", "--buildOnly --workspace --stronglyTyped"),
        ("10.3.0", "--skipInference --fp16 --memPoolSize --layerPrecisions --stronglyTyped", "--buildOnly --minTiming"),
        ("11.1.0", "--skipInference --noCudaGraph --memPoolSize", "--fp16 --int8 --layerPrecisions --useSpinWait"),
    ],
)
def test_what_a_version_has(version: str, there: str, gone: str) -> None:
    flags = flags_of(version)
    assert all(map(flags.has, there.split())) and not any(map(flags.has, gone.split()))


def test_versions_fall_into_the_column_below() -> None:
    assert columns() == ("8.2", "8.5", "8.6", "10", "11")
    assert [flags_of(v).column for v in ("8.2.3", "8.4.1", "8.5.1", "9.3.0", "10.0.1", "10.13.3", "12.0.0")] == [
        "8.2", "8.2", "8.5", "8.6", "10", "10", "11",
    ]  # fmt: skip
    with pytest.raises(RuntimeTargetError, match="must be 8.2 or newer"):
        flags_of("7.1.3")


def test_precision_is_a_flag_up_to_10_and_the_graph_from_11() -> None:
    build = Build("m", "e", "int8")
    assert {"--int8", "--fp16"} <= set(build_words("10.3.0", build))
    assert not {"--int8", "--fp16"} & set(build_words("11.1.0", build))
    assert [is_typed(v) for v in VERSIONS] == [False, False, False, False, True]


def test_layers_are_pinned_where_that_is_possible() -> None:
    build = Build("m", "e", "fp16", pinned=("a/b", "c"))
    words = build_words("8.6.1", build)
    assert "--layerPrecisions=a/b:fp32,c:fp32" in words and "--precisionConstraints=obey" in words
    for version, why in (("8.2.1", "can not keep layers in fp32 by name"), ("11.1.0", "through the graph")):
        with pytest.raises(RuntimeTargetError, match=why):
            build_words(version, build)
    with pytest.raises(RuntimeTargetError, match="must be plain"):
        build_words("8.6.1", Build("m", "e", "fp16", pinned=("a,b",)))


def test_workspace_is_written_as_the_version_wants_it() -> None:
    build = Build("m", "e", workspace_mib=256)
    assert "--workspace=256" in build_words("8.2.1", build)
    assert "--memPoolSize=workspace:256" in build_words("8.5.2", build)


def test_flags_are_checked_with_their_values() -> None:
    flags = flags_of("8.2.1")
    assert flags.problems(["--fp16", "--onnx=x"]) == []
    assert flags.problems(["--onnx", "--fp16=1", "--nothing", "--bf16"]) == [
        "--onnx must have a value, as --onnx=value", "--fp16 takes no value, got '1'", "Unknown option: --nothing",
        "Unknown option: --bf16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("banner", "version"),
    [("v8201", "8.2.1"), ("v8411", "8.4.11"), ("v8502", "8.5.2"), ("v100300", "10.3.0"), ("v101303", "10.13.3"),
     ("v110100", "11.1.0")],
)  # fmt: skip
def test_reads_versions(banner: str, version: str) -> None:
    assert version_in(f"&&&& RUNNING TensorRT.trtexec [TensorRT {banner}] [b9] # trtexec") == version


def test_reads_a_log_of_version_7() -> None:
    log = parse_log(logs.V7)
    assert log.gpu is not None and log.host is not None
    assert (log.gpu.median_ms, log.gpu.percentile(99), log.host.median_ms) == (4.11, 4.75, 4.6)
    assert log.ended == "PASSED" and log.version is None and log.averages_ms == (4.11,)


def test_reads_a_log_of_version_8() -> None:
    log = parse_log(logs.V82)
    assert log.gpu is not None and log.host is not None and log.enqueue is not None
    assert (log.gpu.min_ms, log.gpu.max_ms, log.gpu.mean_ms, log.gpu.median_ms) == (14.7, 16.25, 14.91, 14.9)
    assert (log.gpu.percentile(99), log.host.median_ms, log.enqueue.median_ms) == (15.75, 15.03, 4.5)
    assert log.averages_ms == (14.8811, 14.9) and log.throughput_qps == 66.3 and log.gpu_memory_mib == 3010
    assert (log.version, log.device, log.ended, log.errors) == ("8.2.1", "NVIDIA Tegra X1", "PASSED", ())
    assert [w for w in log.warnings if "unstable" in w]


def test_reads_a_log_of_version_10() -> None:
    log = parse_log(logs.V10)
    assert log.gpu is not None
    assert dict(log.gpu.at) == {90: 0.78, 95: 0.8, 99: 0.95}
    assert (log.version, log.gpu.median_ms, log.gpu_memory_mib) == ("10.3.0", 0.76123, 441)


def test_line_ends_and_missing_stamps_make_no_difference() -> None:
    assert parse_log(logs.V10.replace("\n", "\r\n")) == parse_log(logs.V10)
    bare = "\n".join(line.split("] [I] ")[-1] for line in logs.V10.splitlines())
    assert parse_log(bare).gpu == parse_log(logs.V10).gpu


@pytest.mark.parametrize("text", [logs.V82, logs.V10, logs.UNSUPPORTED_82, logs.PROFILE_86, logs.LAYERS_8])
def test_logs_cut_anywhere_are_read_as_far_as_they_go(text: str) -> None:
    whole = re.search(r"&&&& (PASSED|FAILED)|\Z", text)
    assert whole is not None
    for end in range(0, whole.start(), 37):
        log = parse_log(text[:end])
        assert log.cut_short and log.ended is None
        parse_layers(text[:end])
        parse_times(text[:end])
        assert failure_of(text[:end], 0) is not None, "half a log is no success"


@pytest.mark.parametrize(
    ("text", "status", "kind", "words", "error"),
    [
        (logs.UNSUPPORTED_82, 1, "unsupported", "operator Einsum2 .*'head/einsum'", BuildFailed),
        (logs.UNSUPPORTED_10, 1, "unsupported", "operator MyNms .*'blocks.3/nms'", BuildFailed),
        (logs.NO_IMPLEMENTATION, 1, "unsupported", r"ForeignNode\[head/const...head/softmax\]", BuildFailed),
        (logs.MEMORY, 1, "memory", "ran out .*3620 MiB", DeviceFailed),
        (logs.V82[:900] + "Killed\n", 137, "killed", "kernel killed it", DeviceFailed),
        (logs.V82[:900], 137, "killed", "kernel killed it", DeviceFailed),
        (logs.FOREIGN_ENGINE, 1, "engine", "expecting compute 8.7 got compute 7.2", WrongDevice),
        (logs.UNKNOWN_FLAG, 1, "flag", "does not know '--fp16'", BuildFailed),
        (logs.UNREADABLE, 1, "parse", "Failed to parse ONNX model", BuildFailed),
        (logs.V82[:900], 0, "cut", "cut short", DeviceFailed),
        (logs.V82[:900] + "terminate called ... 'std::bad_alloc'\n", 134, "memory", "", DeviceFailed),
        (logs.V82[:900], 139, "other", "crashed", BuildFailed),
        ("", 127, "other", "status 127", BuildFailed),
        ("sh: 1: cannot create x: No space left on device\n", 2, "disk", "disk", DeviceFailed),
    ],
)  # fmt: skip
def test_says_why_it_failed(text: str, status: int, kind: str, words: str, error: type[Exception]) -> None:
    failure = failure_of(text, status)
    assert failure is not None and failure.kind == kind
    found = failure.error("net.onnx")
    assert type(found) is error
    with pytest.raises(error, match=f"'net.onnx', but .*{words}"):
        raise found


@pytest.mark.parametrize("text", [logs.V82, logs.V10, logs.MEMORY_WARNING])
def test_a_success_with_warnings_is_one(text: str) -> None:
    assert failure_of(text, 0) is None


def test_passed_with_a_bad_status_is_a_failure() -> None:
    assert failure_of(logs.V82, 1) is not None


def test_reads_times_of_layers() -> None:
    old, new = parse_times(logs.PROFILE_82), parse_times(logs.PROFILE_86)
    assert [(t.name, t.mean_ms, t.median_ms, t.percent) for t in old[1:]] == [
        ("stem/conv + stem/relu", 0.2103, None, 11.6), ("head/gemm", 1.5687, None, 86.5),
    ]  # fmt: skip
    assert [(t.name, t.mean_ms, t.median_ms) for t in new[1:]] == [
        ("stem/conv + stem/relu", 0.0228, 0.0225), ("head/gemm 2", 1.3969, 1.3971),
    ]  # fmt: skip
    file = [{"count": 10}, {"name": "a", "timeMs": 2.0, "averageMs": 0.2, "medianMs": 0.21, "percentage": 100.0}]
    (one,) = parse_times(json.dumps(file))
    assert (one.name, one.mean_ms, one.median_ms, one.percent) == ("a", 0.2, 0.21, 100)


def test_reads_types_of_layers() -> None:
    found = parse_layers(logs.LAYERS_8)
    assert [(layer.name, layer.precision, layer.moves_only) for layer in found] == [
        ("Reformatting CopyNode for Input Tensor 0 to stem/conv + stem/relu", "fp16", True),
        ("stem/conv + stem/relu", "fp16", False), ("head/gemm", "int8", False), ("exp", "fp32", False),
    ]  # fmt: skip
    assert [layer.precision for layer in parse_layers(logs.LAYERS_11)] == ["fp16", "fp32"]
    logged = parse_layers(logs.LAYERS_LOG)
    assert [(layer.kind, layer.reads, layer.writes) for layer in logged] == [
        ("Reformat", ("fp32",), ("fp16",)), ("CaskConvolution", ("fp16",), ("fp16",)),
        ("PointWiseV2", ("fp16", "fp32"), ("fp32",)),
    ]  # fmt: skip
    assert [layer.name for layer in parse_layers('{"Layers": ["a", "b"], "Bindings": []}')] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("Row major linear FP16 format", "fp16"), ("Half", "fp16"), ("Float", "fp32"), ("Row major linear FP32", "fp32"),
     ("Two wide channel vectorized row major FP16 format", "fp16"), ("Int8", "int8"), ("BFloat16", "bf16"),
     ("Row major linear INT32", "int32"), ("Int64", "int64"), ("Bool", "bool"), ("kLINEAR", None)],
)  # fmt: skip
def test_reads_a_type(text: str, name: str | None) -> None:
    assert type_of(text) == name


def test_reads_outputs_with_numbers_that_are_none() -> None:
    text = '[\n  { "name" : "y"\n, "dimensions" : "1x2x2"\n, "values" : [ 1.5, nan, -nan, -inf ]\n}\n]'
    found = outputs(text, (TensorSpec("y", (1, 2, 2), np.dtype(np.float32)),))["y"]
    assert found.shape == (1, 2, 2) and found.dtype == np.float32
    assert found.ravel()[0] == 1.5 and np.isnan(found.ravel()[1:3]).all() and found.ravel()[3] == -np.inf


@pytest.mark.parametrize("text", ["", "[", '[{"name": "y", "dimensions": "4", "values": [1, 2', '[{"name": "z"}]'])
def test_outputs_that_are_not_whole_are_refused(text: str) -> None:
    with pytest.raises(DeviceFailed, match="'y'"):
        outputs(text, (TensorSpec("y", (4,), np.dtype(np.float32)),))


def test_reads_times_of_runs() -> None:
    old = [{"startInMs": 0, "computeMs": 1.5, "outMs": 0.1, "latencyMs": 2.0, "endToEndMs": 2.1}]
    assert run_times(json.dumps(old)) == [(1.5, 2.0)]
    assert run_times('[{"computeMs": 1.5, "latencyMs": 2.0}, {"computeMs": 1.6, "late') == [(1.5, 2.0)]
    with pytest.raises(DeviceFailed, match="times of its runs"):
        run_times("")


def test_json_that_is_whole_is_read_as_it_is() -> None:
    value = {"a": [1, 2.5, "nan, inf"], "b": None}
    assert loads(json.dumps(value)) == value
