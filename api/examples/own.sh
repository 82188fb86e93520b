# The price first: nothing is reserved.
curl -s http://localhost:8000/v1/quote \
  -H "Authorization: Bearer $VOCALIS_API_KEY" -H "Content-Type: application/json" \
  -d '{"text": "Every character counts.", "voice": "standard-ava"}'

# The speech. The same Idempotency-Key again gives the same audio at no cost.
curl -s http://localhost:8000/v1/speech -o speech.mp3 -D headers.txt \
  -H "Authorization: Bearer $VOCALIS_API_KEY" -H "Content-Type: application/json" \
  -H "Idempotency-Key: order-1041" \
  -d '{"text": "Every character counts.", "voice": "standard-ava", "format": "mp3"}'
grep -i "^vocalis-" headers.txt
