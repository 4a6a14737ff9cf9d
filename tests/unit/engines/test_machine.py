"""What `doctor` says of a machine, read from files as they look on a PC and on a Jetson."""

from __future__ import annotations

from pathlib import Path

from aand_edge.engines.machine import (
    BackendState,
    backend_states,
    driver_version,
    machine_facts,
    opencv_video,
    power_mode,
)
from aand_edge.engines.registry import FACTORIES

OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)\n"


def test_a_jetson_tells_its_linux_driver_and_cameras(tmp_path: Path) -> None:
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n"
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n")
    (tmp_path / "dev").mkdir()
    for name in ("video0", "video1", "null"):
        (tmp_path / "dev" / name).touch()
    facts = machine_facts(tmp_path)
    assert (facts["l4t"], facts["cameras"]) == ("36.4.3", "/dev/video0, /dev/video1")
    assert facts["driver"] == "540.4.0"


def test_a_bare_machine_says_none_of_each(tmp_path: Path) -> None:
    facts = machine_facts(tmp_path)
    assert (facts["driver"], facts["l4t"], facts["cameras"]) == ("none", "none", "none")
    assert all(facts.values())


def test_the_drivers_version_is_not_the_processors(tmp_path: Path) -> None:
    (tmp_path / "version").write_text(OPEN_DRIVER)
    assert driver_version(tmp_path / "version") == "570.86.15"


def test_a_jetsons_power_mode_is_its_name() -> None:
    assert power_mode("NV Power Mode: MAXN_SUPER\n2\n") == "MAXN_SUPER"
    assert power_mode("nothing of the kind") == ""


def test_opencv_names_its_ways_to_a_camera() -> None:
    assert "FFMPEG" in opencv_video()


def test_every_backend_has_a_line() -> None:
    states = backend_states()
    assert [each.name for each in states] == list(FACTORIES)
    assert all(each.words() for each in states)
    assert "builds and runs" in next(each for each in states if each.name == "openvino").words()
    assert BackendState("triton", "KServe v2", None, None).words() == "asks servers by KServe v2"
    assert BackendState("x", "1.0", None, "no GPU").words() == "1.0 builds engines, runs none: no GPU"
    assert BackendState("x", "", "not installed", "not installed").words() == "no: not installed"
