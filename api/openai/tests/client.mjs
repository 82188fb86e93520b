// What a program with OpenAI's client for Node sees; printed as JSON.
import { createReadStream, writeFileSync } from "node:fs";
import OpenAI from "openai";

const asked = JSON.parse(process.env.ASKED);
const client = (apiKey = asked.keys.good) => new OpenAI({ apiKey, baseURL: asked.baseURL });
const SIMPLE = { model: "tts-1", voice: "alloy", input: "Hello there." };
const seen = { formats: {}, errors: {} };

for (const form of asked.formats) {
  const answer = await client().audio.speech.create({ ...SIMPLE, response_format: form });
  writeFileSync(`${asked.folder}/node.${form}`, Buffer.from(await answer.arrayBuffer()));
  seen.formats[form] = {
    type: answer.headers.get("content-type"),
    credits: answer.headers.get("vocalis-credits"),
  };
}

const streamed = await client().audio.speech.create({ ...SIMPLE, response_format: "pcm" });
seen.streamed = 0;
for await (const piece of streamed.body) seen.streamed += piece.length;

const events = await client().audio.speech.create({
  ...SIMPLE,
  response_format: "pcm",
  stream_format: "sse",
});
seen.events = await events.text();

const keyed = { headers: { "Idempotency-Key": "node-1" } };
await (await client().audio.speech.create(SIMPLE, keyed)).arrayBuffer();
const again = await client().audio.speech.create(SIMPLE, keyed);
await again.arrayBuffer();
seen.again = [again.headers.get("idempotent-replayed"), again.headers.get("vocalis-credits")];

seen.models = [];
for await (const model of client().models.list()) seen.models.push(model.id);
seen.model = await client().models.retrieve("tts-1-hd");

const cloning = client(asked.keys.cloning);
const file = () => createReadStream(`${asked.folder}/voice.wav`);
const given = await cloning.audio.voiceConsents.create({
  name: "Alice",
  language: "en-US",
  recording: file(),
});
const made = await cloning.audio.voices.create({
  name: "Mine",
  consent: given.id,
  audio_sample: file(),
});
const own = await cloning.audio.speech.create({
  ...SIMPLE,
  voice: { id: made.id },
  response_format: "pcm",
});
seen.voice = {
  object: made.object,
  bytes: (await own.arrayBuffer()).byteLength,
  consent: given.id,
  consents: [],
};
for await (const each of cloning.audio.voiceConsents.list()) seen.voice.consents.push(each.id);
seen.voice.deleted = [
  (await cloning.audio.voices.delete(made.id)).deleted,
  (await cloning.audio.voiceConsents.delete(given.id)).deleted,
];

for (const [name, { key, change, headers }] of Object.entries(asked.failing)) {
  try {
    const answer = await client(asked.keys[key ?? "good"]).audio.speech.create(
      { ...SIMPLE, ...change },
      { headers },
    );
    seen.errors[name] = { class: "none", status: answer.status };
  } catch (error) {
    seen.errors[name] = {
      class: error.constructor.name,
      status: error.status,
      code: error.code,
      param: error.param,
      message: error.message,
      id: error.requestID,
    };
  }
}
console.log(JSON.stringify(seen));
