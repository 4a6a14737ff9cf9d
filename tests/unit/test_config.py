"""The workspace file: its defaults, its template, and what is wrong with it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from aand_edge import config
from aand_edge.config import (
    FILE,
    CameraSettings,
    GateSettings,
    MetricsSettings,
    ModelSettings,
    MqttSettings,
    PageSettings,
    Section,
    Settings,
    TrainSettings,
    WebhookSettings,
    Workspace,
    write_template,
)
from aand_edge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What the template shows of these is one value of many, not the default.
EXAMPLES = {"quantise", "opt_level", "workspace_mb"}
OF_CAMERA = {"source", "name", "size", "rate", "exposure", "roi"}


def test_the_names_are_those_that_there_are() -> None:
    from aand_edge.data.layouts import READERS
    from aand_edge.export.ranges import Method
    from aand_edge.model.choices import BACKBONES
    from aand_edge.training.options import Levels
    from aand_edge.training.recipe import PRESETS, Schedule

    assert set(get_args(config.Backbone)) == set(BACKBONES)
    assert set(get_args(config.Preset)) == set(PRESETS)
    assert set(get_args(config.Layout)) == {"auto", *READERS}
    assert get_args(config.Schedule) == get_args(Schedule)
    assert get_args(config.Levels) == get_args(Levels)
    recipes = {name: recipe.to_dict() for name, recipe in PRESETS.items()}
    assert {
        name: {"learning_rate" if key == "lr" else key: value for key, value in each.items()}
        for name, each in config.SCHEDULES.items()
    } == recipes
    assert set(get_args(config.CalibrateSettings.model_fields["method"].annotation)) == set(get_args(Method))


@pytest.mark.parametrize(("backbone", "preset"), [("resnet1", None), (None, "quick")])
def test_a_name_that_there_is_not_is_refused_before_the_file_is_written(
    tmp_path: Path, backbone: str | None, preset: str | None
) -> None:
    with pytest.raises(UsageError, match=r"There is no (backbone|preset)"):
        write_template(tmp_path, None, backbone, preset)
    assert not (tmp_path / FILE).exists()


def test_a_folder_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    assert workspace.settings == Settings()
    assert workspace.models == tmp_path / "models"


def without_comments(text: str) -> str:
    """Every key that stands behind a # takes effect."""
    return re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)


def keys_of(section: type[Section], place: str = "") -> Iterator[str]:
    """Every key that a section knows, such as "run.cameras.roi"."""
    for name, field in section.model_fields.items():
        within = [each for each in types_in(field.annotation) if issubclass(each, Section)]
        yield f"{place}{name}"
        for each in within:
            yield from keys_of(each, f"{place}{name}.")


def types_in(annotation: Any) -> Iterator[type]:
    """The classes that an annotation such as `tuple[X, ...] | None` is made of."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for each in get_args(annotation):
        yield from types_in(each)


def keys_in(table: dict[str, Any], place: str = "") -> Iterator[str]:
    for name, value in table.items():
        yield f"{place}{name}"
        if f"{place}{name}" == "run.webhook.headers":
            continue  # their names are the user's
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from keys_in(each, f"{place}{name}.")


def test_the_template_names_every_key_once(tmp_path: Path) -> None:
    text = without_comments(write_template(tmp_path).read_text(encoding="utf-8"))
    assert sorted(keys_in(tomllib.loads(text))) == sorted(keys_of(Settings))


@pytest.mark.parametrize("preset", ["paper", "short"])
def test_the_template_says_the_defaults(tmp_path: Path, preset: str) -> None:
    path = write_template(tmp_path, preset=preset)
    assert Workspace.open(tmp_path).settings == Settings(train=TrainSettings.model_validate({"preset": preset}))
    text = path.read_text(encoding="utf-8")
    path.write_text(without_comments(text), encoding="utf-8")
    stated = Workspace.open(tmp_path).settings
    assert stated.model.size == 256
    said = stated.train.model_dump()
    assert {key: said.pop(key) for key in config.SCHEDULES[preset]} == config.SCHEDULES[preset]
    rest = Settings().train.model_dump(exclude=set(config.SCHEDULES[preset]))
    assert said == {**rest, "preset": preset, "levels": "equal", "textures": Path("dtd")}
    assert stated.build.model_dump(exclude=EXAMPLES) == Settings().build.model_dump(exclude=EXAMPLES)
    assert stated.calibrate == Settings().calibrate
    assert stated.threshold == Settings().threshold
    (camera,) = stated.run.cameras
    assert camera.model_dump(exclude=OF_CAMERA) == CameraSettings(source="").model_dump(exclude=OF_CAMERA)
    run = stated.run
    assert run.rejects == Settings().run.rejects
    belts = {"speed_mm_s": 250, "encoder": "gpio://16", "mm_per_pulse": 0.5}
    assert run.gate == GateSettings.model_validate({"output": "simulated:gate.log", "distance_mm": 400, **belts})
    assert run.mqtt == MqttSettings(
        host="broker", port=8883, queue=Path("mqtt-queue"), username="line3", ca=Path("ca.pem")
    )
    headers = {"Authorization": "$AAND_EDGE_WEBHOOK_TOKEN"}
    assert run.webhook == WebhookSettings(url="http://mes.local/rejects", headers=headers)
    assert run.metrics == MetricsSettings()
    assert run.page == PageSettings(token_file=Path("page.token"), names=("line3.local",))


@pytest.mark.parametrize("preset", ["paper", "short"])
def test_a_commented_line_of_the_template_is_the_default_or_says_that_it_is_an_example(
    tmp_path: Path, preset: str
) -> None:
    section = ""
    for line in write_template(tmp_path, preset=preset).read_text(encoding="utf-8").splitlines():
        if table := re.match(r"(?:# )?\[+([a-z.]+)\]", line):
            section = table[1]
        if not (shown := re.match(r"# ([a-z_]+ = .*?)(?: +# (.*))?$", line)):
            continue
        ((key, value),) = tomllib.loads(shown[1]).items()
        example = (shown[2] or "").startswith("example")
        assert example != (default_of(section, key, preset) == value), line


def default_of(section: str, key: str, preset: str) -> Any:
    """As TOML would hold it; None where there is none."""
    if section == "train" and key in config.SCHEDULES[preset]:
        return config.SCHEDULES[preset][key]
    if (section, key) == ("train", "levels"):
        return config.default_levels(preset, ModelSettings().backbone, amplify=True)
    table: type[Section] = Settings
    for name in section.split("."):
        (table,) = (each for each in types_in(table.model_fields[name].annotation) if issubclass(each, Section))
    field = table.model_fields[key]
    return None if field.is_required() else field.get_default(call_default_factory=True)


@pytest.mark.parametrize(
    ("preset", "backbone", "amplify", "levels"),
    [
        ("short", "efficientnet_lite0", True, "standardised"),
        ("paper", "efficientnet_lite0", True, "equal"),
        ("short", "efficientnet_lite0", False, "equal"),
        ("short", "resnet18", True, "equal"),
    ],
)
def test_levels_are_the_papers_but_where_others_won(
    tmp_path: Path, preset: str, backbone: str, amplify: bool, levels: str
) -> None:
    assert config.default_levels(preset, backbone, amplify) == levels
    if amplify:
        assert f'# levels = "{levels}"' in write_template(tmp_path, None, backbone, preset).read_text(encoding="utf-8")


def test_what_init_is_given_stands_in_the_file(tmp_path: Path) -> None:
    write_template(tmp_path, Path("pictures"), "resnet18", "short")
    settings = Workspace.open(tmp_path).settings
    assert (settings.data.root, settings.model.backbone, settings.train.preset) == (
        Path("pictures"),
        "resnet18",
        "short",
    )
    assert Workspace.open(tmp_path).resolve(Path("pictures")) == tmp_path / "pictures"


def test_any_folder_name_can_be_written(tmp_path: Path) -> None:
    write_template(tmp_path, Path('4" discs {new}'))
    assert Workspace.open(tmp_path).settings.data.root == Path('4" discs {new}')


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("# mine\n")
    with pytest.raises(UsageError, match="exists already"):
        write_template(tmp_path)
    assert (tmp_path / FILE).read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[modle]\n", "modle"),
        ("[model]\nsize = 'big'\n", r"model\.size"),
        ("[threshold]\nfalse_rejects = 2.0\n", r"threshold\.false_rejects"),
        ("[bench]\nbudget_ms = inf\n", r"bench\.budget_ms: Input should be a finite number"),
        ("[build]\nprecision = 'fp8'\n", r"build\.precision"),
        ("[build\n", "no TOML file.*Mend it, or write one"),
        (
            '[data]\nroot = "C:\\Users\\me"\n',
            r"no TOML file: .*at line 2.*Write a path with backslashes in '…', or each as",
        ),
        ('[data]\nroot = "D:\\parts"\n', r"or each as \\\\ in"),
        ('[data]\nroot = "D:\\"\n', "Write a path with backslashes"),
        ("[[run.cameras]]\nname = 'top'\n", r"run\.cameras\.source of camera 1: Field required"),
        ("[[run.cameras]]\nsource = 'x'\nsize = [4, 0]\n", r"run\.cameras\.size of camera 1, value 2: Input"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError, match=place):
        Workspace.open(tmp_path)


def test_a_folder_of_that_name_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(UsageError, match=r"aand-edge\.toml is a folder, and no file"):
        Workspace.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nsise = 256\n", r"section \[model\] has a key 'sise', which there is not. Did you mean 'size'\?"),
        ("[run.gate]\noutput = 'x'\npuls_ms = 80\n", r"section \[run.gate\] .*'puls_ms'.*Did you mean 'pulse_ms'\?"),
        ("[[run.cameras]]\nsource = 'x'\ntriger = 'free'\n", r"section \[run.cameras\] .*Did you mean 'trigger'\?"),
        (
            "[[run.cameras]]\nsource = 'x'\n[[run.cameras]]\nsorce = 'y'\n",
            r"section \[run.cameras\] of camera 2 has a key 'sorce', which there is not. Did you mean 'source'\?",
        ),
        ("[modle]\n", r"has a section 'modle', which there is not. Did you mean 'model'\?"),
        ("[threshold]\nxyz = 1\n", r"'xyz', which there is not. It may be one of: false_rejects\."),
    ],
)
def test_an_unknown_key_is_told_with_its_section_and_the_nearest_known_one(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError, match=said) as raised:
        Workspace.open(tmp_path)
    assert str(tmp_path / FILE) in str(raised.value)
