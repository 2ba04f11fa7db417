"""trtexec, the program that comes with TensorRT: its flags by version, its command lines, and what its logs say."""
