// What a program with ElevenLabs' client for Node sees; printed as JSON.
import { createReadStream, writeFileSync } from "node:fs";
import { ElevenLabsClient } from "@elevenlabs/elevenlabs-js";

const asked = JSON.parse(process.env.ASKED);
const { baseUrl, apiKey, voice, text, folder } = asked;
const client = new ElevenLabsClient({ baseUrl, apiKey });
const seen = { errors: {} };

async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

writeFileSync(`${folder}/convert.mp3`, await all(await client.textToSpeech.convert(voice, { text })));
const stream = await client.textToSpeech.stream(voice, { text, outputFormat: "pcm_24000" });
writeFileSync(`${folder}/stream.pcm`, await all(stream));

const whole = await client.textToSpeech.convertWithTimestamps(voice, { text });
seen.whole = { audioBase64: whole.audioBase64, characters: whole.alignment.characters };
seen.lines = { audio: [], characters: [] };
for await (const line of await client.textToSpeech.streamWithTimestamps(voice, { text })) {
  seen.lines.audio.push(line.audioBase64);
  seen.lines.characters.push(...(line.alignment?.characters ?? []));
}

seen.voices = (await client.voices.getAll()).voices.map((each) => each.voiceId);
seen.found = (await client.voices.search({ search: "ava" })).voices.map((each) => each.name);
seen.models = (await client.models.list()).map((each) => each.modelId);
seen.user = (await client.user.get()).firstName;
seen.subscription = (await client.user.subscription.get()).status;

const history = (await client.history.list()).history;
seen.history = history.map((item) => ({
  text: item.text,
  cost: item.characterCountChangeTo - item.characterCountChangeFrom,
}));
seen.deleted = (await client.history.delete(history[0].historyItemId)).status;
const end = Date.now() + 1000;
const usage = await client.usage.get({ startUnix: end - 3_600_000, endUnix: end });
seen.usage = usage.usage.All.reduce((sum, count) => sum + count, 0);

const made = await client.voices.ivc.create({
  name: "Mine",
  files: [createReadStream(`${folder}/voice.wav`)],
});
writeFileSync(`${folder}/own.mp3`, await all(await client.textToSpeech.convert(made.voiceId, { text })));
seen.made = {
  verified: made.requiresVerification,
  name: (await client.voices.get(made.voiceId)).name,
  deleted: (await client.voices.delete(made.voiceId)).status,
};

async function failing(name, client, voice, text) {
  try {
    await all(await client.textToSpeech.convert(voice, { text }));
  } catch (error) {
    const code = error.body?.detail?.status;
    const hasId = Boolean(error.rawResponse?.headers?.get("x-request-id"));
    seen.errors[name] = { status: error.statusCode, code, hasId };
  }
}
await failing("key", new ElevenLabsClient({ baseUrl, apiKey: "x" }), voice, text);
await failing("voice", client, "nobody", text);
await failing("long", client, voice, "a".repeat(5001));

console.log(JSON.stringify(seen));
