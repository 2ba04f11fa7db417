"""Runs on a device that has Python 3.6, numpy and onnxruntime: does what a request says and writes the reply.

`python3 measuring.py REQUEST` prints MARK and the reply as its last line, both JSON. A request has `task`, `models`
(paths; for "measure" the anchor first), `inputs` (.npz files), `threads`, and for "measure" `rounds`, for "busy"
`seconds`. The reply of "run" names the .npz files of its outputs; that of "measure" holds `samples`.
"""

import json
import sys
import time
from typing import Any, Dict, List

import numpy as np
import onnxruntime
from sampling import sample  # type: ignore[import-not-found]  # copied beside this file

MARK = "nascc-reply "


def open_model(path: str, threads: int) -> Any:
    """A session: single-minded, idle threads asleep, so that no processor time goes into waiting."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if hasattr(options, "add_session_config_entry"):  # onnxruntime has it from 1.5 on
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def read(path: str) -> Dict[str, Any]:
    """The arrays of an .npz file."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def run(request: Dict[str, Any]) -> Dict[str, Any]:
    """Run a model on each of `inputs`, and write its outputs."""
    session = open_model(request["models"][0], request["threads"])
    names = [output.name for output in session.get_outputs()]
    replies = []
    for index, path in enumerate(request["inputs"]):
        values = session.run(names, read(path))
        file = "outputs-%d.npz" % index
        np.savez(file, **{str(i): value for i, value in enumerate(values)})
        replies.append(file)
    return {"outputs": replies, "names": names, "peak_mib": peak_mib()}


def measure(request: Dict[str, Any]) -> Dict[str, Any]:
    """Take samples of all models together."""
    sessions = [open_model(path, request["threads"]) for path in request["models"]]
    feeds = [read(path) for path in request["inputs"]]
    alone = request["threads"] == 1 and hasattr(time, "thread_time")
    clock = time.thread_time if alone else time.perf_counter
    runs = [lambda s=s, f=f: s.run(None, f) for s, f in zip(sessions, feeds)]
    samples: List[Any] = sample(runs, request["rounds"], clock)
    return {"samples": samples, "clock": "processor" if alone else "wall"}


def busy(request: Dict[str, Any]) -> Dict[str, Any]:
    """Run a model over and over for `seconds`; tells how often, and when by the clock of the device."""
    session, feed = open_model(request["models"][0], request["threads"]), read(request["inputs"][0])
    session.run(None, feed)
    began, runs = time.time(), 0
    while time.time() - began < request["seconds"]:
        session.run(None, feed)
        runs += 1
    return {"runs": runs, "began": began, "ended": time.time()}


def peak_mib() -> Any:
    """The most memory this process ever held, in MiB, where the system tells."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Do what the request says; an error of onnxruntime is a reply, too."""
    request = json.loads(sys.argv[1])
    try:
        reply = {"run": run, "measure": measure, "busy": busy}[request["task"]](request)
    except Exception as error:
        reply = {"error": " ".join(str(error).split())[:600]}
    print(MARK + json.dumps(dict(reply, onnxruntime=onnxruntime.__version__)))


if __name__ == "__main__":
    main()
