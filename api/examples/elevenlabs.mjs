import { writeFile } from "node:fs/promises";
import { ElevenLabsClient } from "@elevenlabs/elevenlabs-js";

const client = new ElevenLabsClient({
  baseUrl: "http://localhost:8000",
  apiKey: process.env.VOCALIS_API_KEY,
});

const audio = await client.textToSpeech.convert("21m00Tcm4TlvDq8ikWAM", {
  text: "Every character counts.",
  modelId: "eleven_flash_v2_5",
  outputFormat: "mp3_44100_128",
});
const chunks = [];
for await (const chunk of audio) chunks.push(chunk);
await writeFile("speech.mp3", Buffer.concat(chunks));
