"""A coil or a register of a PLC over Modbus TCP: `modbus://HOST[:502]/KIND/ADDRESS?unit=1&timeout_ms=300`."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from aand_edge.errors import MissingDependencyError
from aand_edge.runtime.ports import check_port

Kind = Literal["coil", "holding", "input"]
KINDS: dict[str, Kind] = {"coil": "coil", "holding": "holding", "input": "input"}
LAST = 65535


@dataclass(frozen=True)
class ModbusPlace:
    """Which one.

    address     from 0, as the protocol counts; a PLC's manual may call coil 0 00001 and holding register 0 40001
    unit        the device behind a gateway
    timeout_s   of a connection, and of an answer
    """

    host: str
    port: int
    kind: Kind
    address: int
    unit: int = 1
    timeout_s: float = 0.3

    @classmethod
    def parse(cls, uri: str) -> tuple[ModbusPlace, dict[str, str]]:
        """The place, and what else stands behind the question mark.

        Raises ValueError or KeyError, and UsageError where the port is out of range.
        """
        check_port(uri)
        parts = urlsplit(uri)
        values = dict(parse_qsl(parts.query, keep_blank_values=True))
        kind, address = parts.path.strip("/").split("/")
        unit, timeout_ms = int(values.pop("unit", 1)), float(values.pop("timeout_ms", 300))
        fits = 0 <= int(address) <= LAST and 0 <= unit <= 255 and 0 < timeout_ms <= 10_000
        if parts.scheme != "modbus" or not parts.hostname or parts.username is not None or not fits:
            raise ValueError
        parts.hostname.encode("idna")  # as the resolver does: a name that cannot be one never will be
        place = cls(parts.hostname, parts.port or 502, KINDS[kind], int(address), unit, timeout_ms / 1000)
        return place, values

    def __str__(self) -> str:
        return f"modbus://{self.host}:{self.port}/{self.kind}/{self.address}"


class ModbusLink:
    """Connected when it is first asked, and anew after a fault. Not for several threads, but for `interrupt`."""

    def __init__(self, place: ModbusPlace) -> None:
        """Raises MissingDependencyError where pymodbus is not installed."""
        if find_spec("pymodbus") is None:
            raise MissingDependencyError(
                "Modbus needs pymodbus, which is not installed", 'Install it with `pip install "aand-edge[plc]"`.'
            )
        # What it would print at every attempt is told once, as a notice.
        logging.getLogger("pymodbus").addHandler(logging.NullHandler())
        self._place = place
        self._client: Any = None

    def write(self, on: bool) -> None:
        """Set the coil. Raises ConnectionError, within two time-outs, where the PLC did not confirm it."""
        place = self._place
        self._ask(lambda client: client.write_coil(place.address, on, device_id=place.unit))

    def read(self, count: int) -> list[int]:
        """So many registers from the address on. Raises ConnectionError as `write` does."""
        place = self._place

        def read(client: Any) -> Any:
            ask = client.read_input_registers if place.kind == "input" else client.read_holding_registers
            return ask(place.address, count=count, device_id=place.unit)

        registers = list(self._ask(read).registers)
        if len(registers) != count:
            self.close()
            raise ConnectionError(f"{place} answers with {len(registers)} registers in place of {count}")
        return registers

    def interrupt(self) -> None:
        """End an answer that is waited for, from another thread: it raises ConnectionError there."""
        client = self._client
        connected = None if client is None else client.socket
        if connected is not None:
            with suppress(OSError):  # it is closed this moment
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, ask: Callable[[Any], Any]) -> Any:
        from pymodbus.exceptions import ModbusException

        try:
            answer = ask(self._connected())
        except Exception as error:  # of a name that cannot be one, say: who asks is to hear of it, and not to end
            self.close()  # an answer that comes yet would be taken for the next one's
            if isinstance(error, ConnectionError):
                raise
            why = "" if isinstance(error, (ModbusException, OSError)) else f" ({error or type(error).__name__})"
            raise ConnectionError(f"{self._place} gives no answer{why}") from None
        if answer.isError():
            code = getattr(answer, "exception_code", None)
            raise ConnectionError(f"{self._place} is refused (Modbus exception {code})")
        return answer

    def _connected(self) -> Any:
        from pymodbus.client import ModbusTcpClient

        if self._client is None:
            place = self._place
            client: Any = ModbusTcpClient(place.host, port=place.port, timeout=place.timeout_s, retries=0)
            if not client.connect():
                raise ConnectionError(f"{place} cannot be connected")
            self._client = client
        return self._client
