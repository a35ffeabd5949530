"""Robust aggregation: many updates in, one vector out, the same bits for everybody.

In reading order: rows (what is aggregated, sparse or dense, and its one Gram matrix), weightings (rules that are a
weighting of rows), coordinates (rules that look at each coordinate by itself), pipeline (which of them a run uses),
clipping (to the median norm, which the values of updates take as well, whatever the rule).
"""

from .clipping import clip_factors
from .pipeline import PRE, RULES, Aggregate, AggregationSpec, aggregate, aggregate_matrix
from .rows import Dense, Linear, Rows, Sparse, worker_momentum

__all__ = [
    "PRE",
    "RULES",
    "Aggregate",
    "AggregationSpec",
    "Dense",
    "Linear",
    "Rows",
    "Sparse",
    "aggregate",
    "aggregate_matrix",
    "clip_factors",
    "worker_momentum",
]
