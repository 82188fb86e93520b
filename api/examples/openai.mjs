import { writeFile } from "node:fs/promises";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "http://localhost:8000/v1",
  apiKey: process.env.VOCALIS_API_KEY,
});

const speech = await client.audio.speech.create({
  model: "tts-1",
  voice: "alloy",
  input: "Every character counts.",
});
await writeFile("speech.mp3", Buffer.from(await speech.arrayBuffer()));
