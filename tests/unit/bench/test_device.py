from pathlib import Path

import pytest

from aand_edge.bench import device
from aand_edge.bench.device import describe_device, device_line


def test_this_machine_is_described():
    facts = describe_device()
    assert int(facts["threads"]) >= 1
    assert facts["cpu"]
    assert "Python 3" in facts["libraries"]
    assert "numpy" in facts["libraries"]
    assert all(facts.values())
    assert device_line(facts).startswith(facts.get("board", facts["cpu"]))


def test_cores_are_told_from_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "".join(
        f"processor\t: {number}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t: {number // 2}\n\n"
        for number in range(8)
    )
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    assert device._cores() == 4
    assert device._cpu_name() == "Some CPU"


def test_a_processor_without_a_name_is_called_by_its_architecture(monkeypatch):
    monkeypatch.setattr(device, "_cpuinfo", lambda: [{"processor": "0", "BogoMIPS": "62.50"}])
    assert device._cpu_name()
    assert device._cores() == 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("flags\t\t: fpu sse2 avx avx2", "avx2"),
        ("flags\t\t: avx2 avx_vnni", "avx2 vnni"),
        ("flags\t\t: avx512_bf16 avx2 avx512f avx512_vnni avx512bw", "avx2 avx512 vnni avx512_bf16"),
        ("flags\t\t: avx2 avx512f avx512_vnni amx_bf16 amx_tile amx_int8", "avx2 avx512 vnni amx"),
        ("Features\t: fp asimd asimddp i8mm bf16", "dotprod i8mm bf16"),
        ("Features\t: fp asimd", ""),
    ],
)
def test_the_instruction_sets_that_speed_turns_on_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, told: str
) -> None:
    text = "".join(f"processor\t: {number}\nmodel name\t: Some CPU\n{line}\n\n" for number in range(2))
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(device, "BOARD", tmp_path / "nowhere")
    facts = describe_device()
    assert facts.get("instructions", "") == told
    assert device_line(facts).startswith(f"Some CPU · {told} · " if told else f"Some CPU · {facts['threads']}")


def test_a_system_without_cpuinfo_tells_no_instruction_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cpuinfo", list)
    assert "instructions" not in describe_device()


def test_a_board_is_named_first(monkeypatch, tmp_path):
    board = tmp_path / "model"
    board.write_bytes(b"NVIDIA Jetson Orin Nano\0")
    monkeypatch.setattr(device, "BOARD", board)
    assert device_line(describe_device()).startswith("NVIDIA Jetson Orin Nano · ")


def test_what_is_unknown_is_left_out_of_the_line():
    assert device_line({"cpu": "A", "threads": "2"}) == "A · 2 threads"
