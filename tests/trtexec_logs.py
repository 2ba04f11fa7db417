"""Logs and files as trtexec of several versions writes them, made up here: no GPU ran, the numbers mean nothing."""

V7 = """&&&& RUNNING TensorRT.trtexec # /usr/src/tensorrt/bin/trtexec --onnx=net.onnx
[03/11/2021-10:24:30] [I] === Model Options ===
[03/11/2021-10:24:30] [I] Average on 10 runs - GPU latency: 4.11 ms - Host latency: 4.6 ms (end to end 8.1 ms, enqueue 0.54 ms)
[03/11/2021-10:24:30] [I] Host Latency
[03/11/2021-10:24:30] [I] min: 4.5 ms (end to end 4.75 ms)
[03/11/2021-10:24:30] [I] max: 5.5 ms (end to end 9.5 ms)
[03/11/2021-10:24:30] [I] mean: 4.61 ms (end to end 8.11 ms)
[03/11/2021-10:24:30] [I] median: 4.6 ms (end to end 8.09 ms)
[03/11/2021-10:24:30] [I] percentile: 5.25 ms at 99% (end to end 8.75 ms at 99%)
[03/11/2021-10:24:30] [I] throughput: 0 qps
[03/11/2021-10:24:30] [I] walltime: 3.01 s
[03/11/2021-10:24:30] [I] GPU Compute
[03/11/2021-10:24:30] [I] min: 4 ms
[03/11/2021-10:24:30] [I] max: 5 ms
[03/11/2021-10:24:30] [I] mean: 4.12 ms
[03/11/2021-10:24:30] [I] median: 4.11 ms
[03/11/2021-10:24:30] [I] percentile: 4.75 ms at 99%
[03/11/2021-10:24:30] [I] total compute time: 2.9 s
&&&& PASSED TensorRT.trtexec # /usr/src/tensorrt/bin/trtexec --onnx=net.onnx
"""

V82 = """&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # /usr/src/tensorrt/bin/trtexec --onnx=net.onnx --fp16
[05/18/2022-21:48:03] [I] === Device Information ===
[05/18/2022-21:48:03] [I] Selected Device: NVIDIA Tegra X1
[05/18/2022-21:48:03] [I] Compute Capability: 5.3
[05/18/2022-21:48:03] [I] TensorRT version: 8.2.1
[05/18/2022-21:48:05] [I] [TRT] [MemUsageChange] Init CUDA: CPU +229, GPU +0, now: CPU 248, GPU 2380 (MiB)
[05/18/2022-21:48:09] [W] [TRT] Your ONNX model has been generated with INT64 weights, while TensorRT does not natively support INT64. Attempting to cast down to INT32.
[05/18/2022-21:51:15] [I] [TRT] [MemUsageChange] TensorRT-managed allocation in building engine: CPU +2, GPU +4, now: CPU 2, GPU 3010 (MiB)
[05/18/2022-21:51:18] [I] Average on 10 runs - GPU latency: 14.8811 ms - Host latency: 15.0214 ms (end to end 15.0302 ms, enqueue 4.61 ms)
[05/18/2022-21:51:18] [I] Average on 10 runs - GPU latency: 14.9 ms - Host latency: 15.1 ms (end to end 15.2 ms, enqueue 4.6 ms)
[05/18/2022-21:52:15] [I] === Performance summary ===
[05/18/2022-21:52:15] [I] Throughput: 66.3 qps
[05/18/2022-21:52:15] [I] Latency: min = 14.9 ms, max = 16.5 ms, mean = 15.05 ms, median = 15.03 ms, percentile(99%) = 15.9 ms
[05/18/2022-21:52:15] [I] End-to-End Host Latency: min = 14.91 ms, max = 16.6 ms, mean = 15.06 ms, median = 15.04 ms, percentile(99%) = 15.95 ms
[05/18/2022-21:52:15] [I] Enqueue Time: min = 4.1 ms, max = 6.2 ms, mean = 4.6 ms, median = 4.5 ms, percentile(99%) = 5.9 ms
[05/18/2022-21:52:15] [I] H2D Latency: min = 0.1 ms, max = 0.2 ms, mean = 0.12 ms, median = 0.12 ms, percentile(99%) = 0.15 ms
[05/18/2022-21:52:15] [I] GPU Compute Time: min = 14.7 ms, max = 16.25 ms, mean = 14.91 ms, median = 14.9 ms, percentile(99%) = 15.75 ms
[05/18/2022-21:52:15] [I] D2H Latency: min = 0.003 ms, max = 0.01 ms, mean = 0.005 ms, median = 0.005 ms, percentile(99%) = 0.0095 ms
[05/18/2022-21:52:15] [I] Total Host Walltime: 3.03 s
[05/18/2022-21:52:15] [I] Total GPU Compute Time: 2.99 s
[05/18/2022-21:52:15] [W] * GPU compute time is unstable, with coefficient of variance = 1.5%.
&&&& PASSED TensorRT.trtexec [TensorRT v8201] # /usr/src/tensorrt/bin/trtexec --onnx=net.onnx --fp16
"""

V10 = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b1] # /usr/src/tensorrt/bin/trtexec --loadEngine=net.engine
[10/03/2024-10:47:41] [I] Selected Device: Orin
[10/03/2024-10:47:42] [I] [TRT] [MemUsageStats] Peak memory usage of TRT CPU/GPU memory allocators: CPU: 5 MiB, GPU: 441 MiB
[10/03/2024-10:47:59] [I] === Performance summary ===
[10/03/2024-10:47:59] [I] Throughput: 1302.98 qps
[10/03/2024-10:47:59] [I] Latency: min = 0.76 ms, max = 1.5 ms, mean = 0.79 ms, median = 0.781 ms, percentile(90%) = 0.8 ms, percentile(95%) = 0.82 ms, percentile(99%) = 0.97 ms
[10/03/2024-10:47:59] [I] GPU Compute Time: min = 0.75 ms, max = 1.4 ms, mean = 0.77 ms, median = 0.76123 ms, percentile(90%) = 0.78 ms, percentile(95%) = 0.8 ms, percentile(99%) = 9.5e-01 ms
[10/03/2024-10:47:59] [I] Total Host Walltime: 3.00082 s
&&&& PASSED TensorRT.trtexec [TensorRT v100300] [b1] # /usr/src/tensorrt/bin/trtexec --loadEngine=net.engine
"""

UNSUPPORTED_82 = """&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=net.onnx
[02/03/2022-06:14:51] [I] [TRT] No importer registered for op: Einsum2. Attempting to import as plugin.
[02/03/2022-06:14:51] [I] [TRT] Searching for plugin: Einsum2, plugin_version: 1, plugin_namespace: 
[02/03/2022-06:14:51] [E] [TRT] 3: getPluginCreator could not find plugin: Einsum2 version: 1
[02/03/2022-06:14:51] [E] [TRT] ModelImporter.cpp:773: While parsing node number 7 [Einsum2 -> "head/out"]:
[02/03/2022-06:14:51] [E] [TRT] ModelImporter.cpp:774: --- Begin node ---
[02/03/2022-06:14:51] [E] [TRT] ModelImporter.cpp:775: input: "a"
output: "head/out"
name: "head/einsum"
op_type: "Einsum2"

[02/03/2022-06:14:51] [E] [TRT] ModelImporter.cpp:776: --- End node ---
[02/03/2022-06:14:51] [E] [TRT] ModelImporter.cpp:779: ERROR: builtin_op_importers.cpp:4870 In function importFallbackPluginImporter:
[8] Assertion failed: creator && "Plugin not found, are the plugin name, version, and namespace correct?"
[02/03/2022-06:14:51] [E] Failed to parse onnx file
[02/03/2022-06:14:51] [E] Engine creation failed
&&&& FAILED TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=net.onnx
"""

UNSUPPORTED_10 = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=net.onnx
[01/02/2025-11:00:00] [E] [TRT] ModelImporter.cpp:949: ERROR: ModelImporter.cpp:195 In function parseNode:
In node 12 with name: blocks.3/nms and operator: MyNms (checkFallbackPluginImporter): INVALID_NODE: creator && "Plugin not found, are the plugin name, version, and namespace correct?"
[01/02/2025-11:00:00] [E] Failed to parse onnx file
[01/02/2025-11:00:00] [E] Parsing model failed
&&&& FAILED TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=net.onnx
"""

MEMORY = """&&&& RUNNING TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=net.onnx
[05/18/2022-21:48:05] [I] [TRT] [MemUsageChange] Init cuDNN: CPU +240, GPU +351, now: CPU 741, GPU 3620 (MiB)
[05/18/2022-21:48:25] [E] Error[1]: [defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)
[05/18/2022-21:48:25] [W] [TRT] Requested amount of GPU memory (1073741824 bytes) could not be allocated. There may not be enough free memory for allocation to succeed.
[05/18/2022-21:48:25] [E] Error[2]: [builder.cpp::buildSerializedNetwork::609] Error Code 2: Internal Error (Assertion enginePtr != nullptr failed. )
[05/18/2022-21:48:25] [E] Engine could not be created from network
&&&& FAILED TensorRT.trtexec [TensorRT v8201] # trtexec --onnx=net.onnx
"""

MEMORY_WARNING = V82.replace(
    "[05/18/2022-21:51:15] [I]",
    "[05/18/2022-21:50:15] [W] [TRT] Tactic Device request: 2057MB Available: 1410MB. Device memory is insufficient to "
    "use tactic.\n[05/18/2022-21:50:16] [W] [TRT] Skipping tactic 3 due to insufficient memory on requested size of "
    "2057 detected for tactic 4.\n[05/18/2022-21:51:15] [I]",
)

NO_IMPLEMENTATION = """&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --onnx=net.onnx --fp16
[05/18/2023-21:48:25] [E] Error[10]: [optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error (Could not find any implementation for node {ForeignNode[head/const...head/softmax]}.)
[05/18/2023-21:48:25] [E] Error[2]: [builder.cpp::buildSerializedNetwork::751] Error Code 2: Internal Error (Assertion engine != nullptr failed. )
[05/18/2023-21:48:25] [E] Engine could not be created from network
&&&& FAILED TensorRT.trtexec [TensorRT v8502] # trtexec --onnx=net.onnx --fp16
"""

FOREIGN_ENGINE = """&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --loadEngine=net.engine
[07/01/2023-10:00:00] [E] Error[6]: The engine plan file is generated on an incompatible device, expecting compute 8.7 got compute 7.2, please rebuild.
[07/01/2023-10:00:00] [E] Error[4]: [runtime.cpp::deserializeCudaEngine::66] Error Code 4: Internal Error (Engine deserialization failed.)
[07/01/2023-10:00:00] [E] Engine deserialization failed
&&&& FAILED TensorRT.trtexec [TensorRT v8502] # trtexec --loadEngine=net.engine
"""

UNKNOWN_FLAG = """&&&& RUNNING TensorRT.trtexec [TensorRT v110100] # trtexec --onnx=net.onnx --fp16
[E] Unknown option: --fp16 
=== Model Options ===
  --onnx=<file>               ONNX model
&&&& FAILED TensorRT.trtexec [TensorRT v110100] # trtexec --onnx=net.onnx --fp16
"""

UNREADABLE = """&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --onnx=net.onnx
[07/01/2023-10:00:00] [E] [TRT] ModelImporter.cpp:688: Failed to parse ONNX model from file: net.onnx
[07/01/2023-10:00:00] [E] Failed to parse onnx file
&&&& FAILED TensorRT.trtexec [TensorRT v8601] # trtexec --onnx=net.onnx
"""

PROFILE_82 = """[07/01/2022-10:00:00] [I] === Profile (1205 iterations ) ===
[07/01/2022-10:00:00] [I]                               Layer   Time (ms)   Avg. Time (ms)   Time %
[07/01/2022-10:00:00] [I]  Reformatting CopyNode for Input Tensor 0 to stem/conv + stem/relu       41.88           0.0348      1.9
[07/01/2022-10:00:00] [I]              stem/conv + stem/relu      253.44           0.2103     11.6
[07/01/2022-10:00:00] [I]                          head/gemm     1890.33           1.5687     86.5
[07/01/2022-10:00:00] [I]                              Total     2185.65           1.8138    100.0
[07/01/2022-10:00:00] [I] 
"""

PROFILE_86 = """[05/08/2024-14:05:14] [I] === Profile (2094 iterations ) ===
[05/08/2024-14:05:14] [I]    Time(ms)     Avg.(ms)   Median(ms)   Time(%)   Layer
[05/08/2024-14:05:14] [I]       16.15       0.0077       0.0075       0.5   Reformatting CopyNode for Input Tensor 0 to stem/conv + stem/relu
[05/08/2024-14:05:14] [I]       47.82       0.0228       0.0225       1.6   stem/conv + stem/relu
[05/08/2024-14:05:14] [I]     2925.10       1.3969       1.3971      97.9   head/gemm 2
[05/08/2024-14:05:14] [I]     2989.07       1.4274       1.4271     100.0   Total
"""

LAYERS_8 = """{"Layers": [{
  "Name": "Reformatting CopyNode for Input Tensor 0 to stem/conv + stem/relu",
  "LayerType": "Reformat",
  "Inputs": [{"Name": "x", "Location": "Device", "Dimensions": [1,3,32,32], "Format/Datatype": "Row major linear FP32"}],
  "Outputs": [{"Name": "r", "Location": "Device", "Dimensions": [1,3,32,32], "Format/Datatype": "Channel major FP16 format where channel % 4 == 0"}],
  "ParameterType": "Reformat"},
 {"Name": "stem/conv + stem/relu",
  "LayerType": "CaskConvolution",
  "Inputs": [{"Name": "r", "Dimensions": [1,3,32,32], "Format/Datatype": "Channel major FP16 format where channel % 4 == 0"}],
  "Outputs": [{"Name": "a", "Dimensions": [1,16,16,16], "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}],
  "ParameterType": "Convolution", "Weights": {"Type": "Half", "Count": 432}, "Bias": {"Type": "Half", "Count": 16}},
 {"Name": "head/gemm", "LayerType": "CaskConvolution",
  "Inputs": [{"Name": "a", "Dimensions": [1,16,1,1], "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format."}],
  "Outputs": [{"Name": "y", "Dimensions": [1,10,1,1], "Format/Datatype": "Row major linear FP32"}],
  "Weights": {"Type": "Int8", "Count": 160}},
 {"Name": "exp", "LayerType": "PointWiseV2",
  "Inputs": [{"Name": "y", "Format/Datatype": "Row major linear FP32"}],
  "Outputs": [{"Name": "z", "Format/Datatype": "Row major linear FP32"}]}],
 "Bindings": ["x", "z"]}
"""

LAYERS_11 = """{"Layers": [
 {"Name": "stem/conv", "LayerType": "conv",
  "Inputs": [{"Name": "x/half", "DataType": "Half", "Format": "kLINEAR"}],
  "Outputs": [{"Name": "a", "DataType": "Half", "Format": "kHWC8"}]},
 {"Name": "stem/big", "LayerType": "kgen",
  "Inputs": [{"Name": "a/single", "DataType": "Float", "Format": "kLINEAR"}],
  "Outputs": [{"Name": "b", "DataType": "Float", "Format": "kLINEAR"}]}],
 "I/O Tensors": [{"Name": "x", "IOMode": "Input", "DataType": "Float", "Dimensions": [1,3,32,32]}]}
"""

LAYERS_LOG = """[05/18/2022-21:51:15] [V] [TRT] Engine Layer Information:
Layer(Reformat): Reformatting CopyNode for Input Tensor 0 to stem/conv, Tactic: 0, x[Float(1,3,32,32)] -> r[Half(1,3,32,32)]
Layer(CaskConvolution): stem/conv + stem/relu, Tactic: 0x0f20ae3f6, r[Half(1,3,32,32)] -> a[Half(1,16,16,16)]
Layer(PointWiseV2): exp, Tactic: 5, a[Half(1,16,16,16)], b[Float(1,16,16,16)] -> c[Float(1,16,16,16)]
"""
