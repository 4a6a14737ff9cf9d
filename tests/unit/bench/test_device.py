from pathlib import Path

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


def test_cores_are_told_from_threads(monkeypatch):
    text = "".join(
        f"processor\t: {number}\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t: {number // 2}\n\n"
        for number in range(8)
    )
    monkeypatch.setattr(Path, "read_text", lambda self, **_: text)
    assert device._cores() == 4
    assert device._cpu_name() == "Some CPU"


def test_a_processor_without_a_name_is_called_by_its_architecture(monkeypatch):
    monkeypatch.setattr(device, "_cpuinfo", lambda: [{"processor": "0", "BogoMIPS": "62.50"}])
    assert device._cpu_name()
    assert device._cores() == 0


def test_a_board_is_named_first(monkeypatch, tmp_path):
    board = tmp_path / "model"
    board.write_bytes(b"NVIDIA Jetson Orin Nano\0")
    monkeypatch.setattr(device, "BOARD", board)
    assert device_line(describe_device()).startswith("NVIDIA Jetson Orin Nano · ")


def test_what_is_unknown_is_left_out_of_the_line():
    assert device_line({"cpu": "A", "threads": "2"}) == "A · 2 threads"
