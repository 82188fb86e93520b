curl -s "http://localhost:8000/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=mp3_44100_128" \
  -o speech.mp3 -H "xi-api-key: $VOCALIS_API_KEY" -H "Content-Type: application/json" \
  -d '{"text": "Every character counts.", "model_id": "eleven_flash_v2_5"}'
