"""`aand-edge train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aand_edge.cli.options import CategoryName, Data, FalseRejects, Json, Layout
from aand_edge.errors import UsageError

if TYPE_CHECKING:
    from aand_edge.artifacts import ModelCard
    from aand_edge.config import Settings, Workspace
    from aand_edge.data.layouts import Category
    from aand_edge.training.options import TrainingOptions


def command(
    data: Data = None,
    layout: Layout = None,
    category: CategoryName = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="wide_resnet50_2, resnet50, resnet34, resnet18 or efficientnet_lite0."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="ImageNet state dict (.pth, .safetensors) in place of the published one.")
    ] = None,
    roi: Annotated[
        str | None, typer.Option(help="X,Y,WIDTH,HEIGHT of the part of each picture to look at; all by default.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the square picture, a multiple of 32.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper (100 + 120 epochs) or short (for a CPU).")] = None,
    epochs_amplify: Annotated[int | None, typer.Option(help="Epochs of stage one.")] = None,
    epochs_distill: Annotated[int | None, typer.Option(help="Epochs of stage two.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures a step; all of them where there are fewer.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate of Adam, at most 1.")] = None,
    schedule: Annotated[str | None, typer.Option(help="step or cosine.")] = None,
    steps_amplify: Annotated[
        int | None, typer.Option(help="Fewest steps of stage one: more epochs where pictures are few.")
    ] = None,
    steps_distill: Annotated[int | None, typer.Option(help="Fewest steps of stage two.")] = None,
    amplify: Annotated[
        bool | None, typer.Option("--amplify/--no-amplify", help="Without it: reverse distillation (RD4AD).")
    ] = None,
    hard_patches: Annotated[int | None, typer.Option(help="K of the hard-patch loss; 0 leaves it out.")] = None,
    levels: Annotated[
        str | None,
        typer.Option(help="equal (the paper's), scaled or standardised; which is the default: docs/threshold.md."),
    ] = None,
    holdout: Annotated[float | None, typer.Option(help="Share of the pictures kept for threshold and tests.")] = None,
    textures: Annotated[Path | None, typer.Option(help="Folder of textures for synthetic anomalies.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    cache_mb: Annotated[int, typer.Option(help="Memory for the cached features of stage two.")] = 4096,
    false_rejects: FalseRejects = None,
    name: Annotated[str | None, typer.Option(help="Of the model; CATEGORY-BACKBONE by default.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over where a training was interrupted.")] = False,
    preview: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of synthetic anomalies (PNG) and stop.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train AAND on pictures of good parts. An interrupted training goes on where it was."""
    from aand_edge.cli.lookup import open_category, parse_roi
    from aand_edge.cli.options import refuse_without
    from aand_edge.cli.show import answer
    from aand_edge.config import Workspace

    workspace = Workspace.open()
    asked = _with(
        workspace.settings,
        data={"roi": parse_roi(roi)},
        model={"backbone": backbone, "size": size, "weights": weights},
        train={
            "preset": preset,
            "epochs_amplify": epochs_amplify,
            "epochs_distill": epochs_distill,
            "batch": batch,
            "lr": lr,
            "schedule": schedule,
            "steps_amplify": steps_amplify,
            "steps_distill": steps_distill,
            "amplify": amplify,
            "hard_patches": hard_patches,
            "levels": levels,
            "holdout": holdout,
            "textures": textures,
            "seed": seed,
            "device": device,
        },
        threshold={"false_rejects": false_rejects},
    )
    if preview is None:
        refuse_without(
            "--amplify",
            asked.train.amplify,
            epochs_amplify=epochs_amplify,
            steps_amplify=steps_amplify,
            textures=textures,
        )
    options = replace(_options(Workspace(workspace.root, asked)), cache_mb=cache_mb, fresh=fresh)
    if preview is not None and preview.suffix.lower() != ".png":
        raise UsageError(f"The preview {preview} is no PNG", "Give it a name that ends in .png.")
    parts = open_category(workspace, data, layout, category)
    folder = _folder(workspace, parts, options, name)
    # PyTorch takes seconds to load: what can be told without it was told.
    if preview is not None:
        from aand_edge.training.preview import write_preview

        write_preview(parts, preview, options)
        answer({"preview": str(preview)}, as_json, f"Synthetic anomalies: {preview}")
    else:
        _report(_train(parts, folder, options), options, as_json)


def _train(parts: Category, folder: Path, options: TrainingOptions) -> ModelCard:
    """Train with bars on stderr; says what is replaced, and after Ctrl-C what goes on."""
    from aand_edge.artifacts import CARD
    from aand_edge.cli.show import TrainingBars, say
    from aand_edge.training.train import train

    if (folder / CARD).is_file():
        say(f"{folder.name} is trained already: this training replaces it when it is through; --name keeps both")
    before = _saved_at(folder)
    try:
        with TrainingBars() as bars:
            card = train(parts, folder, options, bars)
    except KeyboardInterrupt:
        say(_what_goes_on(before, _saved_at(folder), options.fresh))
        raise
    say(f"model: {folder}")
    return card


def _saved_at(folder: Path) -> int | None:
    """When the snapshot that lies there was written, ns; None where there is none."""
    from aand_edge.training.checkpoint import SNAPSHOT

    snapshot = folder / SNAPSHOT
    return snapshot.stat().st_mtime_ns if snapshot.is_file() else None


def _what_goes_on(before: int | None, saved: int | None, fresh: bool) -> str:
    """What the next training finds of this one; with --fresh a snapshot from before it is an earlier training's."""
    if saved is None or (fresh and saved == before):
        return "nothing of this training is saved yet: the same command starts from the beginning"
    without = ", without --fresh," if fresh else ""
    return f"the same command{without} goes on from the last snapshot"


def _with(settings: Settings, **options: dict[str, Any]) -> Settings:
    """The settings with the options that were given, section by section; whoever uses them checks them."""
    sections = {
        name: getattr(settings, name).model_copy(
            update={key: value for key, value in given.items() if value is not None}
        )
        for name, given in options.items()
    }
    return settings.model_copy(update=sections)


def _options(workspace: Workspace) -> TrainingOptions:
    """What the settings ask for. Raises UsageError where it cannot be."""
    from aand_edge.config import default_levels
    from aand_edge.training.options import TrainingOptions
    from aand_edge.training.recipe import find_recipe

    model, stages = workspace.settings.model, workspace.settings.train
    recipe = find_recipe(
        stages.preset,
        epochs_amplify=stages.epochs_amplify,
        epochs_distill=stages.epochs_distill,
        batch=stages.batch,
        learning_rate=stages.lr,
        schedule=stages.schedule,
        steps_amplify=stages.steps_amplify,
        steps_distill=stages.steps_distill,
    )
    return TrainingOptions(
        backbone=model.backbone,
        size=model.size,
        roi=workspace.settings.data.roi,
        weights=workspace.resolve_optional(model.weights),
        amplify=stages.amplify,
        hard_patches=stages.hard_patches,
        levels=stages.levels or default_levels(stages.preset, model.backbone, stages.amplify),
        recipe=recipe,
        seed=stages.seed,
        holdout=stages.holdout,
        textures=workspace.resolve_optional(stages.textures),
        device=stages.device,
        false_rejects=workspace.settings.threshold.false_rejects,
    )


def _folder(workspace: Workspace, parts: Category, options: TrainingOptions, name: str | None) -> Path:
    if name is None:
        name = f"{parts.name}-{options.backbone}" + ("" if options.amplify else "-rd")
    if not name or Path(name).name != name or name.startswith("."):
        raise UsageError(f"'{name}' cannot name a model", "Take a name without slashes, that begins with no dot.")
    return workspace.models / name


def _report(card: ModelCard, options: TrainingOptions, as_json: bool) -> None:
    from aand_edge.cli.show import answer, facts, promise

    threshold = card.threshold
    rows = [
        ("trained on", f"{card.data['train']} pictures, {card.data['held_out']} held out"),
        ("looks at", str(card.region) if card.region else None),
        ("time", "  ".join(f"{stage} {seconds:.0f} s" for stage, seconds in card.seconds.items())),
        ("level weights", f"{options.levels}: " + "  ".join(f"{weight:.2f}" for weight in card.level_weights)),
        ("threshold", f"{threshold.value:.4f}: {promise(threshold)}" if threshold else None),
        ("note", threshold.note if threshold and threshold.note else None),
        ("protocol", card.protocol),
    ]
    answer(card.model_dump(), as_json, facts(card.name, [row for row in rows if row[1] is not None]))
