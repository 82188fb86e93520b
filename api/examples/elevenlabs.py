import os

from elevenlabs.client import ElevenLabs

client = ElevenLabs(base_url="http://localhost:8000", api_key=os.environ["VOCALIS_API_KEY"])

audio = client.text_to_speech.convert(
    voice_id="21m00Tcm4TlvDq8ikWAM",
    text="Every character counts.",
    model_id="eleven_flash_v2_5",
    output_format="mp3_44100_128",
)
with open("speech.mp3", "wb") as file:
    for chunk in audio:
        file.write(chunk)
