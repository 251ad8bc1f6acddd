"""What the device must know; edit this file and copy it to the board."""

WIFI_NAME = ""
"The name (SSID) of the network, 2.4 GHz."
WIFI_PASSWORD = ""
"Its password; empty for an open network."

SERVER_URL = "http://192.168.1.10:5000"
"Where Earshot listens; `scripts/run --lan` prints it."
TOKEN = ""
"The token of this device; empty where the server wants none."
SESSION = ""
"The name of the conversation; empty for the token's name, or the device's address where there are no tokens."

BUTTON_PIN = 0
"Goes to ground when it is pressed; 0 is the BOOT button that most boards have."
MAX_RECORDING_S = 30
"A question ends after this time, in seconds, also when the button is still held."

MIC_CLOCK_PIN, MIC_SELECT_PIN, MIC_DATA_PIN = 4, 5, 6
"The pins SCK, WS and SD of the INMP441."
MIC_GAIN_BITS = 3
"Each bit doubles the level of the microphone; 3 is 18 dB. Take less when loud speech crackles."
SPEAKER_CLOCK_PIN, SPEAKER_SELECT_PIN, SPEAKER_DATA_PIN = 15, 16, 17
"The pins BCLK, LRC and DIN of the MAX98357A."
