"""NetAdaptV2 (CVPR 2021): a network shrunk to a budget of any metric, by multi-layer coordinate descent."""
