curl -s http://localhost:8000/v1/audio/speech -o speech.mp3 \
  -H "Authorization: Bearer $VOCALIS_API_KEY" -H "Content-Type: application/json" \
  -d '{"model": "tts-1", "voice": "alloy", "input": "Every character counts."}'
