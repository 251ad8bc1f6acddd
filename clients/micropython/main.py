"""Starts the device when the board has power; MicroPython runs this file by itself."""

import settings
from connection import Connection
from device import Device
from sound_i2s import Board
from wifi import Wifi


def main() -> None:
    """Connect, and serve for ever."""
    wifi = Wifi(settings.WIFI_NAME, settings.WIFI_PASSWORD)
    wifi.bring_up()
    connection = Connection(settings.SERVER_URL, settings.TOKEN, settings.SESSION)
    print("hold the button and speak")
    Device(connection, Board(), wifi, settings.MAX_RECORDING_S).run()


if __name__ == "__main__":
    main()
