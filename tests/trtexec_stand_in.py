#!/usr/bin/env python3
"""A stand-in for NVIDIA's trtexec, for tests: no TensorRT takes part, and no time it tells is one of a GPU.

It checks its command line against the flag table of the version it plays (STAND_IN_TENSORRT), as the real program
would, keeps the ONNX model inside what it calls an engine, computes with onnxruntime, rounds to the precision that was
asked for, and writes logs and files in the real format. STAND_IN_FAILURE names a failure to play.
"""

import json
import os
import sys
import time
from pathlib import Path

FLAVOURS = {
    "8.2": ("Layer", "legacy"), "8.5": ("Layer", "legacy"), "8.6": ("Time(ms)", "new"), "10": ("Time(ms)", "new"),
    "11": ("Time(ms)", "new"),
}  # fmt: skip
LATENCY_MS = 1.5


def banner(version: str) -> str:
    major, minor, patch = (int(part) for part in version.split("."))
    return f"TensorRT.trtexec [TensorRT v{major * (10_000 if major >= 10 else 1_000) + minor * 100 + patch}]"


def say(text: str, level: str = "I", own: bool = True) -> None:
    print(f"[{time.strftime('%m/%d/%Y-%H:%M:%S')}] [{level}] {'' if own else '[TRT] '}{text}", flush=True)


class StandIn:
    def __init__(self, words: list[str]) -> None:
        from nascc.runtime.trtexec.flags import flags_of

        self.version = os.environ.get("STAND_IN_TENSORRT", "8.2.1")
        self.flags = flags_of(self.version)
        self.words = words
        self.given = {name: value for name, _, value in (word.partition("=") for word in words)}
        self.failure = os.environ.get("STAND_IN_FAILURE", "")
        if (switch := Path(os.environ.get("STAND_IN_SWITCH", "/nonexistent"))).is_file():
            self.failure = switch.read_text().strip()

    def main(self) -> int:
        command = f"{banner(self.version)} # {sys.argv[0]} {' '.join(self.words)}"
        print(f"&&&& RUNNING {command}", flush=True)
        if "--help" in self.given:
            print("=== Model Options ===\n  --onnx=<file>               ONNX model\n")
            print(f"&&&& PASSED {command}")
            return 0
        if problems := self.flags.problems(self.words):
            for problem in problems:
                say(problem, "E")
            print(f"&&&& FAILED {command}")
            return 1
        status = self.work()
        if self.failure != "cut":
            print(f"&&&& {'FAILED' if status else 'PASSED'} {command}", flush=True)
        return status

    def work(self) -> int:
        say("=== Device Information ===")
        say("Selected Device: stand-in for a GPU")
        say(f"TensorRT version: {self.version}" if self.version > "8.4" else "Device 0")
        if self.failure == "slow":
            time.sleep(600)
        try:
            return self.build() if "--onnx" in self.given else self.load()
        except Failed as failed:
            for line in failed.lines:
                say(line, "E", own=False)
            return failed.status

    def build(self) -> int:
        import onnx

        self.play("build")
        content = Path(self.given["--onnx"]).read_bytes()
        model = onnx.load_model_from_string(content)
        for index, node in enumerate(model.graph.node):
            if node.op_type in ("NonMaxSuppression", "Det") or node.domain not in ("", "ai.onnx"):
                say(f"No importer registered for op: {node.op_type}. Attempting to import as plugin.", own=False)
                raise Failed(
                    f'ModelImporter.cpp:773: While parsing node number {index} [{node.op_type} -> "{node.output[0]}"]:',
                    "ModelImporter.cpp:779: ERROR: In function importFallbackPluginImporter:",
                    '[8] Assertion failed: creator && "Plugin not found, are the plugin name, version, and namespace '
                    'correct?"',
                )
        pinned = [pair.rpartition(":")[0] for pair in self.given.get("--layerPrecisions", "").split(",") if pair]
        half = "--fp16" in self.given
        layers = [self.layer(node, half and node.name not in pinned, model) for node in model.graph.node]
        if "--exportLayerInfo" in self.given:
            ends = [value.name for value in (*model.graph.input, *model.graph.output)]
            key = "I/O Tensors" if self.version.startswith("11") else "Bindings"
            Path(self.given["--exportLayerInfo"]).write_text(json.dumps({"Layers": layers, key: ends}))
        header = json.dumps(
            {"version": self.version, "half": half, "pinned": pinned, "layers": [e["Name"] for e in layers]}
        )
        Path(self.given["--saveEngine"]).write_bytes(header.encode() + b"\n" + content)
        if "--timingCacheFile" in self.given:
            Path(self.given["--timingCacheFile"]).write_bytes(b"timing cache of a stand-in")
        say("[MemUsageChange] Init CUDA: CPU +203, GPU +0, now: CPU 221, GPU 2110 (MiB)", own=False)
        say("Engine built in 0.1 sec.")
        return 0

    def layer(self, node: "object", half: bool, model: "object") -> dict[str, object]:
        typed = self.version.startswith("11")
        if typed:
            types = {t.name: t.data_type for t in model.graph.initializer}  # type: ignore[attr-defined]
            half = any(types.get(name) == 10 for name in node.input)  # type: ignore[attr-defined]
        word = "Half" if half else "Float"
        tensor = (
            {"DataType": word, "Format": "kLINEAR"}
            if typed
            else {"Format/Datatype": f"Row major linear {'FP16' if half else 'FP32'} format"}
        )
        made = {"Name": node.name or node.output[0], "LayerType": node.op_type}  # type: ignore[attr-defined]
        ends = {
            side: [{"Name": n, "Dimensions": [], **tensor} for n in names]
            for side, names in (("Inputs", node.input), ("Outputs", node.output))
        }  # type: ignore[attr-defined]
        weights = {"Weights": {"Type": word, "Count": 1}} if node.op_type in ("Conv", "Gemm") else {}  # type: ignore[attr-defined]
        return made | ends | weights

    def load(self) -> int:
        self.play("run")
        header, _, content = Path(self.given["--loadEngine"]).read_bytes().partition(b"\n")
        engine = json.loads(header)
        if engine["version"] != self.version:
            raise Failed(
                "6: The engine plan file is not compatible with this version of TensorRT, expecting library version "
                f"{self.version}.0 got {engine['version']}.0, please rebuild."
            )
        if "--loadInputs" in self.given:
            self.compute(engine, content)
        if "--exportTimes" in self.given:
            wobble = [LATENCY_MS * (1 + 0.001 * (i % 7)) for i in range(40)]
            times = [{"startComputeMs": 0, "endComputeMs": t, "computeMs": t, "latencyMs": t} for t in wobble]
            Path(self.given["--exportTimes"]).write_text(json.dumps(times))
        if "--exportProfile" in self.given:
            entries = [
                {
                    "name": n,
                    "timeMs": 1.0,
                    "averageMs": 0.025,
                    "medianMs": 0.025,
                    "percentage": 100 / len(engine["layers"]),
                }
                for n in engine["layers"]
            ]
            Path(self.given["--exportProfile"]).write_text(json.dumps([{"count": 40}, *entries]))
        self.summary()
        return 0

    def compute(self, engine: dict[str, object], content: bytes) -> None:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        files = dict(pair.rpartition(":")[::2] for pair in self.given["--loadInputs"].split(","))
        shapes = dict(pair.rpartition(":")[::2] for pair in self.given.get("--shapes", "").split(",") if pair)
        feed = {}
        for value in session.get_inputs():
            kind = {
                "tensor(float)": np.float32,
                "tensor(int64)": np.int64,
                "tensor(int32)": np.int32,
                "tensor(uint8)": np.uint8,
            }[value.type]
            shape = [int(d) for d in shapes[value.name].split("x")] if value.name in shapes else value.shape
            feed[value.name] = np.fromfile(files[value.name], kind).reshape(shape)
        found = []
        for value, array in zip(session.get_outputs(), session.run(None, feed), strict=True):
            array = array.astype(np.float16) if engine["half"] and array.dtype == np.float32 else array
            values = ", ".join(f"{v:.6g}" for v in array.ravel().tolist())
            dims = "x".join(map(str, array.shape))
            found.append(f'{{ "name" : "{value.name}"\n, "dimensions" : "{dims}"\n, "values" : [ {values} ]\n}}')
        Path(self.given["--exportOutput"]).write_text("[\n  " + "\n, ".join(found) + "\n]\n")

    def summary(self) -> None:
        percents = (
            "percentile(99%) = 1.51 ms"
            if self.version < "8.5"
            else "percentile(90%) = 1.507 ms, percentile(95%) = 1.508 ms, percentile(99%) = 1.51 ms"
        )
        say("=== Performance summary ===")
        say("Throughput: 660.1 qps")
        for name in ("Latency", "Enqueue Time", "H2D Latency", "GPU Compute Time", "D2H Latency"):
            say(f"{name}: min = 1.5 ms, max = 1.51 ms, mean = 1.503 ms, median = 1.503 ms, {percents}")
        say("Total Host Walltime: 1.01 s")

    def play(self, when: str) -> None:
        if self.failure == f"memory-{when}":
            raise Failed(
                "1: [defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)",
                "2: [builder.cpp::buildSerializedNetwork::609] Error Code 2: Internal Error (Assertion failed. )",
            )
        if self.failure == f"killed-{when}":
            os.kill(os.getpid(), 9)


class Failed(Exception):
    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__(lines)
        self.lines, self.status = lines, status


if __name__ == "__main__":
    sys.exit(StandIn(sys.argv[1:]).main())
