"""The board's way into the network."""

from time import sleep_ms  # type: ignore[attr-defined]

import network

CONNECT_S = 15


class Wifi:
    """The Wi-Fi of the board, brought up again whenever it is needed and gone."""

    def __init__(self, name: str, password: str) -> None:
        self._name = name
        self._password = password
        self._station = network.WLAN(network.STA_IF)

    def bring_up(self) -> None:
        """Connect unless that is so already; whether it worked is printed, and shows in the next request."""
        if self._station.isconnected():
            return
        print("connecting to Wi-Fi", self._name)
        # Off and on again: after a lost access point the driver sometimes keeps waiting for the old one.
        self._station.active(False)
        self._station.active(True)
        self._station.connect(self._name, self._password)
        for _ in range(CONNECT_S * 10):
            if self._station.isconnected():
                print("connected, this device is", self._station.ifconfig()[0])
                return
            sleep_ms(100)
        print("no Wi-Fi yet:", self._reason())

    def _reason(self) -> str:
        status = self._station.status()
        known = (
            ("STAT_WRONG_PASSWORD", "the password is wrong"),
            ("STAT_NO_AP_FOUND", "no network of that name is in reach (2.4 GHz only)"),
        )
        for constant, text in known:
            if status == getattr(network, constant, None):
                return text
        return f"status {status}"
