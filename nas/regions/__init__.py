"""Networks whose blocks can be replaced: the teacher, its students, their supernet, and the candidates' store."""

from nascc.nas.regions.chain import Chain
from nascc.nas.regions.neighbourhood import Neighbourhood, neighbourhoods
from nascc.nas.regions.space import RegionSpace
from nascc.nas.regions.store import Candidate, CandidateStore
from nascc.nas.regions.supernet import RegionSuperNet
from nascc.nas.regions.teacher import Teacher

__all__ = [
    "Candidate",
    "CandidateStore",
    "Chain",
    "Neighbourhood",
    "RegionSpace",
    "RegionSuperNet",
    "Teacher",
    "neighbourhoods",
]
