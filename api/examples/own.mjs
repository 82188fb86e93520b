import { writeFile } from "node:fs/promises";

const API = "http://localhost:8000/v1";
const headers = {
  Authorization: `Bearer ${process.env.VOCALIS_API_KEY}`,
  "Content-Type": "application/json",
};

const answer = await fetch(`${API}/speech`, {
  method: "POST",
  headers,
  body: JSON.stringify({ text: "Every character counts.", voice: "standard-ava", format: "mp3" }),
});
if (!answer.ok) throw new Error((await answer.json()).detail);
await writeFile("speech.mp3", Buffer.from(await answer.arrayBuffer()));
console.log(answer.headers.get("Vocalis-Credits"), "credits");
