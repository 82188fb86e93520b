import os

from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1", api_key=os.environ["VOCALIS_API_KEY"])

with client.audio.speech.with_streaming_response.create(
    model="tts-1", voice="alloy", input="Every character counts."
) as answer:
    answer.stream_to_file("speech.mp3")
    print(answer.headers["Vocalis-Credits"], "credits")
