"""anomalib's side of peers.py; runs in an environment of its own, see there.

`prepare` makes each model, exports it by anomalib's own exporter and tells in WORK/anomalib.json what it is; `serve`
answers through anomalib's OpenVINOInferencer. Weights cannot be had everywhere and speed does not depend on them:
without --weights every encoder is random and nothing is trained.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.turns import Answer, serve

SIZE = (256, 256)
ONE_PICTURE = {"dynamic_shapes": None}  # left to itself, its exporter writes a PatchCore that takes two at once
ROWS = 3277  # of PatchCore's memory, as far as there are patches
BATCH = 16
HEADROOM = 10.0  # how far above the largest value of good pictures its normalisation ends: nothing is clipped


class Inferencer:
    """anomalib's OpenVINOInferencer, as its user calls it.

    held   in float32; otherwise OpenVINO takes what the processor is fastest in, bfloat16 where it has it
    """

    def __init__(self, model: Path, threads: int, held: bool) -> None:
        from anomalib.deploy import OpenVINOInferencer

        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads}
        if held:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        self._inferencer = OpenVINOInferencer(model, "CPU", settings)
        self._input = np.zeros((1, 3, *SIZE), np.float32)

    def predict(self, frame: NDArray[np.uint8]) -> Answer:
        """Score, and map (S, S)."""
        batch = self._inferencer.predict(frame)
        return float(batch.pred_score.reshape(-1)[0]), batch.anomaly_map.reshape(SIZE)

    def network(self) -> None:
        """The network alone, on the last frame."""
        self._inferencer.model({self._inferencer.input_blob.any_name: self._input})


def prepare(work: Path, pictures: Path, backbone: str, weights: Path | None, epochs: int) -> None:
    """Export every peer into WORK/NAME; what each is goes into WORK/anomalib.json."""
    import torch

    torch.manual_seed(0)
    # As its inferencer makes of frames. Contiguous, or its loss cannot view the features.
    stock = torch.from_numpy(np.load(pictures)).permute(0, 3, 1, 2).contiguous() / 255
    told: dict[str, Any] = {"version": version("anomalib"), "openvino": version("openvino"), "peers": {}}
    for name, model, note in _models(stock, backbone, weights, epochs):
        model.eval()
        _settle(model, stock[:8])
        folder = work / name.replace(" ", "-")
        path = model.to_openvino(folder, input_size=SIZE, onnx_kwargs=ONE_PICTURE)
        told["peers"][name] = {"model": str(path), "note": note}
        if name.startswith("anomalib reverse distillation"):
            told["peers"][f"{name} int8"] = {"model": str(_quantised(model, folder / "int8", stock)), "note": note}
    (work / "anomalib.json").write_text(json.dumps(told, indent=2))


def _models(stock: Any, backbone: str, weights: Path | None, epochs: int) -> Iterator[tuple[str, Any, str]]:
    """(name, model, what it is) of each."""
    from anomalib.models import EfficientAd, Padim, Patchcore, ReverseDistillation

    plain = {"pre_trained": False, "evaluator": False, "visualizer": False}
    model = ReverseDistillation(backbone, **plain)
    _fill(model.model.encoder, weights)
    if weights is not None:
        _distil(model, stock, epochs)
    trained = f"trained on {len(stock)} pictures for {epochs} epochs" if weights else "untrained"
    yield f"anomalib reverse distillation {backbone}", model, trained
    patches = len(stock) * (SIZE[0] // 8) * (SIZE[1] // 8)
    model = Patchcore(backbone, coreset_sampling_ratio=ROWS / patches, **plain)
    _fill(model.model.feature_extractor, weights)
    _collect(model, stock)
    yield f"anomalib PatchCore {backbone}", model, f"{len(model.model.memory_bank)} of {patches} patches in its memory"
    model = Padim("resnet18", **plain)
    _fill(model.model.feature_extractor, weights if backbone == "resnet18" else None)
    _collect(model, stock)
    yield "anomalib PaDiM resnet18", model, f"fitted to {len(stock)} pictures"
    if weights is None:
        yield "anomalib EfficientAD S", EfficientAd(evaluator=False, visualizer=False), "untrained"


def _fill(encoder: Any, weights: Path | None) -> None:
    """ImageNet weights into the stem and stages of timm's ResNet, whose names are torchvision's."""
    if weights is None:
        return
    import torch

    left = encoder.feature_extractor.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    if left.missing_keys:
        raise SystemExit(f"{weights} does not fit: it lacks {left.missing_keys[0]}")


def _collect(model: Any, stock: Any) -> None:
    """Fill a model's memory and let it fit itself, as a training epoch does."""
    import torch

    model.model.train()
    with torch.no_grad():
        for pictures in stock.split(BATCH):
            model.model(model.pre_processor.transform(pictures))
        model.fit()


def _distil(model: Any, stock: Any, epochs: int) -> None:
    """Train by the model's own loss and optimiser."""
    import torch

    model.model.train()
    optimiser = model.configure_optimizers()
    for epoch in range(epochs):
        for chosen in torch.split(torch.randperm(len(stock)), BATCH):
            loss = model.loss(*model.model(model.pre_processor.transform(stock[chosen])))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"epoch {epoch + 1} of {epochs}: {float(loss):.4f}", flush=True)


def _settle(model: Any, good: Any) -> None:
    """Give its post-processor a range, which is NaN until a validation has set it: the order of scores stays."""
    import torch

    with torch.no_grad():
        answer = model.model(model.pre_processor.transform(good))
    processor = model.post_processor
    for kind, values in (("image", answer.pred_score), ("pixel", answer.anomaly_map)):
        top = HEADROOM * float(values.max())
        getattr(processor, f"{kind}_min").fill_(0.0)
        getattr(processor, f"{kind}_max").fill_(top)
        getattr(processor, f"_{kind}_threshold").fill_(top / 2)


class _Pictures:
    """What its quantiser asks of a data module."""

    train_batch_size = 1

    def __init__(self, stock: Any) -> None:
        self._stock = stock

    def setup(self, stage: str) -> None:
        """All is there."""

    def val_dataloader(self) -> Any:
        """One picture at a time."""
        from torch.utils.data import DataLoader

        pictures: Any = [{"image": picture} for picture in self._stock]
        return DataLoader(pictures, batch_size=1)


def _quantised(model: Any, folder: Path, stock: Any) -> Path:
    """By its own post-training quantisation (NNCF)."""
    from anomalib.deploy import CompressionType

    kind = CompressionType.INT8_PTQ
    made: Path = model.to_openvino(
        folder, input_size=SIZE, compression_type=kind, datamodule=_Pictures(stock), onnx_kwargs=ONE_PICTURE
    )
    return made


def main() -> None:
    """Make the models, or serve one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("prepare")
    making.add_argument("work", type=Path)
    making.add_argument("--pictures", type=Path, required=True)
    making.add_argument("--backbone", required=True)
    making.add_argument("--weights", type=Path)
    making.add_argument("--epochs", type=int, default=0)
    serving = verbs.add_parser("serve")
    serving.add_argument("model", type=Path)
    serving.add_argument("--frames", type=Path, required=True)
    serving.add_argument("--threads", type=int, required=True)
    serving.add_argument("--held", action="store_true")
    options = parser.parse_args()
    if options.verb == "prepare":
        prepare(options.work, options.pictures, options.backbone, options.weights, options.epochs)
        return
    load = partial(Inferencer, options.model, options.threads, options.held)
    serve(load, np.load(options.frames), options.threads)


if __name__ == "__main__":
    main()
