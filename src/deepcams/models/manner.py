"""How a network is to be run: what belongs to a recipe beside the tensors."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Manner:
    """The right way by default; each field is a way of the published code.

    zero_edges : frames are widened by zeros to the south and east, and convolutions see zeros beyond every edge.
    window, overlap : run in windows of so many coarse nodes that share so many with their neighbours (0: whole frames).
    tapered : windows fade into one another; else shared nodes are the plain mean.
    squeezed : 3 × 3 blocks are read as if they began at the coarse nodes, and 723 rows are squeezed into 720.
    """

    zero_edges: bool = False
    window: int = 0
    overlap: int = 0
    tapered: bool = True
    squeezed: bool = False
