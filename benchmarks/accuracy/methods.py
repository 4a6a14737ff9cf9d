"""What is compared: AAND, reverse distillation, the paper's ablations, and the teacher's nearest neighbours.

    aand        the method
    rd          reverse distillation (RD4AD): no amplifier, no hard patches
    rd-hard     reverse distillation with the hard-patch loss: what that loss gives alone
    aand-soft   AAND without the hard-patch loss
    gate        F_A = (1 + w)·F: the gate without a learned residual. The scale leaves each patch's own cosine as it is,
                and reaches the map only through what the bottleneck sees
    residual    F_A = F + Δ: the residual everywhere, without the gate
    neighbour   no training: the distance of a patch to the nearest of the good parts' (see `neighbours`)

The ablations replace `Amplifier.forward` while a model is trained and judged; both stages are otherwise the method's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from aand_edge.model.amplification import Amplifier
from aand_edge.model.choices import HARD_PATCHES

Advance = Callable[[Amplifier, Tensor], Tensor]  # F (B, C, H, W) → F_A of the same shape


@dataclass(frozen=True)
class Method:
    """A row's name in the tables, and what differs from AAND. `trained` is false of nearest neighbours."""

    title: str
    amplify: bool = True
    hard_patches: int = HARD_PATCHES
    advance: Advance | None = None
    trained: bool = True


def gate_only(amplifier: Amplifier, features: Tensor) -> Tensor:
    """(1 + w)·F."""
    return features + amplifier.gate(features) * features


def residual_only(amplifier: Amplifier, features: Tensor) -> Tensor:
    """F + Δ."""
    return features + amplifier.residual(features)


METHODS = {
    "aand": Method("AAND"),
    "rd": Method("reverse distillation", amplify=False, hard_patches=0),
    "rd-hard": Method("reverse distillation + hard patches", amplify=False),
    "aand-soft": Method("AAND − hard patches", hard_patches=0),
    "gate": Method("AAND, gate only", advance=gate_only),
    "residual": Method("AAND, residual only", advance=residual_only),
    "neighbour": Method("nearest neighbour", amplify=False, hard_patches=0, trained=False),
}


@contextmanager
def advancing(method: Method) -> Iterator[None]:
    """Every amplifier advances features by the method's rule, in this process, until the block ends."""
    before = Amplifier.forward
    try:
        if method.advance is not None:
            Amplifier.forward = method.advance  # type: ignore[method-assign,assignment]
        yield
    finally:
        Amplifier.forward = before  # type: ignore[method-assign]
