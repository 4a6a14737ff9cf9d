"""What is learned: stage one amplifies anomalies in the teacher, stage two distils normality into the student.

Teacher and RAA compute in float32 in both stages, as they will when parts are judged: features rounded to bfloat16 are
other targets than those that the student is compared with later (on screw that cost 3 points of image AUROC). Only
what learns in stage two, the bottleneck and the student, runs in the machine's faster format.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aand_edge.data.synthesis import Synthesiser, patch_mask
from aand_edge.model.aand import Aand, as_features
from aand_edge.model.backbones import Features
from aand_edge.model.losses import AMPLIFY_WEIGHT, amplification, distillation, focal
from aand_edge.training.compute import Compute
from aand_edge.training.loop import Losses, in_chunks
from aand_edge.training.pictures import TrainingPictures


@dataclass(frozen=True)
class AmplifyStep:
    """Stage one: RAA learns from normal pictures with synthetic anomalies, the mask in the gate's place."""

    model: Aand
    training: TrainingPictures
    synthesiser: Synthesiser
    compute: Compute

    def __call__(self, rows: Tensor, generator: torch.Generator) -> Losses:
        pictures = self.compute.pictures(self.training.pictures[rows])
        foreground = self.training.foreground[rows].to(pictures.device)
        synthetic = self.synthesiser(pictures, foreground, generator)
        with torch.no_grad():
            features = self.model.teacher(self.compute.pictures(synthetic.pictures))
        focal_loss = amplify_loss = features[0].new_zeros(())
        for raa, level in zip(self.model.raas(), features, strict=True):
            mask, object_ = patch_mask(synthetic.mask, level.shape[-1]), patch_mask(foreground, level.shape[-1])
            amplify_loss = amplify_loss + amplification(raa, level, mask, object_, generator)
            focal_loss = focal_loss + focal(raa.gate(level), mask)
        return {"focal": focal_loss, "amplify": AMPLIFY_WEIGHT * amplify_loss}


@dataclass(frozen=True)
class DistillStep:
    """Stage two: bottleneck and student learn to restore the advanced features of normal pictures."""

    model: Aand
    advanced: AdvancedFeatures
    compute: Compute
    hard_patches: int

    def __call__(self, rows: Tensor, generator: torch.Generator) -> Losses:
        advanced = self.advanced(rows)
        with self.compute.autocast():
            student = self.model.restore(advanced)
        targets = as_features(level.float() for level in advanced)
        return {"distill": distillation(targets, as_features(s.float() for s in student), self.hard_patches)}


class AdvancedFeatures:
    """F_A of the training pictures: constant in stage two (no augmentation, A frozen), so computed once where it fits.

    The cache is half precision in main memory: 3.7 MB a picture for wide_resnet50_2 at 256².
    """

    def __init__(self, model: Aand, training: TrainingPictures, compute: Compute, budget_mb: int) -> None:
        self.model, self.training, self.compute = model, training, compute
        self.cache: list[Tensor] | None = None
        self.keep = self.megabytes() <= budget_mb
        if self.keep:
            self.cache = self._filled()

    def _filled(self) -> list[Tensor]:
        """Written in place, chunk by chunk: what is joined afterwards is held twice."""
        cache: list[Tensor] = []
        for rows in in_chunks(len(self.training), 8):
            levels = self._half(rows)
            cache = cache or [level.new_empty((len(self.training), *level.shape[1:])) for level in levels]
            for whole, part in zip(cache, levels, strict=True):
                whole[rows] = part
        return cache

    def megabytes(self) -> float:
        """What the cache of all training pictures takes."""
        backbone = self.model.backbone
        values = sum(c * (self.model.size // s) ** 2 for c, s in zip(backbone.channels, backbone.strides, strict=True))
        return len(self.training) * values * 2 / 1e6

    def __call__(self, rows: Tensor) -> Features:
        """F_A of these rows, on the device; rounded to half precision whether it was cached or not."""
        levels = self._half(rows) if self.cache is None else [level[rows] for level in self.cache]
        return as_features(level.to(self.compute.device).float().permute(0, 3, 1, 2) for level in levels)

    def _half(self, rows: slice | Tensor) -> list[Tensor]:
        """(B, H_k, W_k, C_k) a level; float16 keeps 11 bits of a feature, bfloat16 would keep 8."""
        with torch.no_grad():
            advanced = self.model.advanced(self.compute.pictures(self.training.pictures[rows]).float())
        levels = (level.permute(0, 2, 3, 1).contiguous().half() for level in advanced)
        return [level.cpu() if self.keep else level for level in levels]
