"""Elastic networks: a captured network, and all its sub-networks of fewer filters and smaller kernels."""

from nascc.nas.elastic.bypass import alive
from nascc.nas.elastic.layer import Layer
from nascc.nas.elastic.layout import Layout
from nascc.nas.elastic.slice import Sliced
from nascc.nas.elastic.space import Chosen, ElasticSpace
from nascc.nas.elastic.supernet import ElasticNet
from nascc.nas.elastic.thresholds import Thresholds
from nascc.nas.elastic.trainable import trainable

__all__ = [
    "Chosen",
    "ElasticNet",
    "ElasticSpace",
    "Layer",
    "Layout",
    "Sliced",
    "Thresholds",
    "alive",
    "trainable",
]
