"""What lies in deploy/ fits the program: options, exit codes, extras and paths are those that there are."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from aand_edge import errors
from aand_edge.cli.app import app
from aand_edge.runtime.watchdog import HEARTBEAT
from tests.conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEPLOY = REPOSITORY / "deploy"
UNIT = DEPLOY / "aand-edge@.service"
CONTAINERS = sorted(DEPLOY.glob("*.Dockerfile"))
SCRIPTS = sorted(DEPLOY.glob("*.sh"))


def program(name: str) -> str:
    """A program's path; the test is skipped without it."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def keys(text: str) -> dict[str, list[str]]:
    """A unit's keys and each one's values, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@pytest.fixture
def unit() -> dict[str, list[str]]:
    return keys(UNIT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return found


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """All that it says is what an older systemd does not know yet, and that the program is not installed here."""
    analyze = program("systemd-analyze")
    folder = tmp_path / "aand-edge@.service.d"
    folder.mkdir()
    shutil.copy(DEPLOY / "jetson.conf", folder)
    copied = shutil.copy(UNIT, tmp_path)
    done = subprocess.run([analyze, "verify", "--man=no", str(copied)], capture_output=True, text=True)
    known = re.compile(
        r"Unknown key( name)? '?Restart(Steps|MaxDelaySec)'?|/opt/aand-edge/current/bin/aand-edge is not ex"
    )
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "aand-edge@" in line]
    assert [line for line in told if not known.search(line)] == []


def test_the_unit_runs_a_command_that_there_is(unit: dict[str, list[str]]) -> None:
    (start,) = unit["ExecStart"]
    path, verb, *options = start.split()
    assert Path(path).name == "aand-edge"
    offered = {name for each in get_command(app).commands[verb].params for name in each.opts}  # type: ignore[attr-defined]
    assert [each for each in options if each.startswith("--") and each not in offered] == []


def test_the_unit_gives_up_only_where_starting_again_mends_nothing(unit: dict[str, list[str]]) -> None:
    (prevented,) = unit["RestartPreventExitStatus"]
    assert prevented.split() == [str(errors.UsageError.exit_code), str(errors.ArtefactMismatchError.exit_code)]
    assert unit["Restart"] == ["on-failure"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["Type"] == ["notify"]


def test_the_unit_waits_for_the_addresses_that_it_serves_at(unit: dict[str, list[str]]) -> None:
    assert unit["Wants"] == ["network-online.target"]
    assert "network-online.target" in unit["After"][0].split()


def test_the_unit_writes_only_into_its_own_folders(unit: dict[str, list[str]]) -> None:
    assert unit["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in unit
    assert "--out /var/lib/aand-edge/%i/verdicts" in unit["ExecStart"][0]
    assert unit["StateDirectory"] == ["aand-edge/%i"]
    assert unit["User"] == ["aand-edge"]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda path: path.stem)
def test_a_container_file_is_sound(container: Path) -> None:
    done = subprocess.run([program("hadolint"), "--no-color", str(container)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_sound(script: Path) -> None:
    done = subprocess.run([program("shellcheck"), str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda path: path.stem)
def test_a_container_is_made_of_what_is_there(container: Path, project: dict[str, dict[str, object]]) -> None:
    text = container.read_text(encoding="utf-8").replace("\\\n", " ")
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", text, re.MULTILINE)]
    sources = [name for names in copied for name in names]
    assert sources
    assert [name for name in sources if not (REPOSITORY / name).exists()] == []
    let_in = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [name for name in sources if f"!{name}" not in let_in] == []
    (extras,) = re.findall(r"'\.\[(.*?)\]'", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert re.search(r'^ENTRYPOINT \["(.*)"\]$', text, re.MULTILINE)[1] in project["scripts"]  # type: ignore[index]
    assert re.search(r"^USER (\d+)$", text, re.MULTILINE)[1] != "0"  # type: ignore[index]
    assert f"{HEARTBEAT}=/tmp/heartbeat" in text
    assert 'CMD ["aand-edge-health"]' in text


def test_a_jetson_keeps_its_own_opencv() -> None:
    text = (DEPLOY / "jetson.Dockerfile").read_text(encoding="utf-8")
    assert "--system-site-packages" in text
    assert "opencv" not in re.findall(r"'\.\[(.*?)\]'", text)[0]


def wheelhouse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEPLOY / "wheelhouse.sh", *arguments], capture_output=True, text=True, timeout=60)


def test_a_wheelhouse_wants_a_target_and_a_new_folder(tmp_path: Path) -> None:
    for arguments in ([], ["jetpack5", str(tmp_path / "new")], ["3.12-riscv64", str(tmp_path / "new")]):
        done = wheelhouse(*arguments)
        assert done.returncode == 2
        assert "deploy/wheelhouse.sh TARGET FOLDER" in done.stderr
    done = wheelhouse("jetpack6", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path} exists already. Name another folder.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_wheelhouse_holds_extras_that_there_are(project: dict[str, dict[str, object]]) -> None:
    text = (DEPLOY / "wheelhouse.sh").read_text(encoding="utf-8")
    chosen = re.search(r"echo (\S+) \|\| echo (\S+)\)\}", text)
    assert chosen is not None
    for extras in chosen.groups():
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    for needed in re.findall(r"\$repository/(deploy/[\w@.-]+)", text):
        assert (REPOSITORY / needed).exists()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a health check may end."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def health(heartbeat: Path) -> int:
    environment = {**os.environ, HEARTBEAT: str(heartbeat), "AAND_EDGE_PATIENCE_S": "30"}
    return subprocess.run([DEPLOY / "health.sh"], env=environment, capture_output=True).returncode


@pytest.mark.parametrize(
    ("age", "code", "ended"), [(0, 0, None), (20, 0, None), (40, 1, signal.SIGABRT), (70, 1, signal.SIGKILL)]
)
def test_a_loop_without_a_word_is_ended(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], age: int, code: int, ended: signal.Signals | None
) -> None:
    heartbeat = tmp_path / "heartbeat"
    assert health(heartbeat) == 1, "the engine is loading still"
    heartbeat.write_text(f"{sleeper.pid}\n")
    os.utime(heartbeat, (time.time() - age,) * 2)
    assert health(heartbeat) == code
    if ended is None:
        assert sleeper.poll() is None
    else:
        assert sleeper.wait(20) == -ended
