// OpenAI's client for Node, as its documentation shows it: address, key.
import assert from "node:assert";
import OpenAI from "openai";

const [address, key] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${address}/v1`, apiKey: key });
const spoken = await openai.audio.speech.create({
  model: "gpt-4o-mini-tts",
  voice: "coral",
  input: "Today is a wonderful day to build something people love!",
  instructions: "Speak in a cheerful and positive tone.",
});
const audio = Buffer.from(await spoken.arrayBuffer());
assert.equal(spoken.headers.get("content-type"), "audio/mpeg");
assert(audio.length > 10_000, `${audio.length}`);

const model = await openai.models.retrieve("tts-1");
assert.equal(model.object, "model");
await assert.rejects(openai.models.retrieve("nobody"), OpenAI.NotFoundError);
const wrong = openai.audio.speech.create({ model: "tts-1", voice: "nobody", input: "Hello." });
await assert.rejects(wrong, OpenAI.BadRequestError);
console.log(`${audio.length} bytes`);
