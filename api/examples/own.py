import os

import requests

API = "http://localhost:8000/v1"
HEADERS = {"Authorization": f"Bearer {os.environ['VOCALIS_API_KEY']}"}

asked = {"text": "Every character counts.", "voice": "standard-ava", "format": "wav"}
with requests.post(f"{API}/speech", json=asked, headers=HEADERS, stream=True, timeout=60) as answer:
    if answer.status_code == 402:
        raise SystemExit(answer.json()["detail"])
    answer.raise_for_status()
    with open("speech.wav", "wb") as file:
        for chunk in answer.iter_content(65536):
            file.write(chunk)

made = answer.headers["Vocalis-Generation"]
receipt = requests.get(f"{API}/generations/{made}", headers=HEADERS, timeout=60).json()["receipt"]
print(receipt["credits"], "credits;", receipt["balance_after"], "are left")
