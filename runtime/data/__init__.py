"""Public measurements that latency models are fitted on, and the kernels of the networks they were taken of."""
