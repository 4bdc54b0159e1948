// Vercel's AI SDK with its provider for OpenAI: address, key.
import assert from "node:assert";
import { createOpenAI } from "@ai-sdk/openai";
import { generateSpeech } from "ai";

const [address, key] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${address}/v1`, apiKey: key });
for (const more of [{}, { voice: "alloy", outputFormat: "wav", speed: 1.2, language: "en" }]) {
  const { audio, warnings } = await generateSpeech({
    model: openai.speech("tts-1"),
    text: "Good morning.",
    instructions: "Speak softly.",
    ...more,
  });
  assert(audio.uint8Array.length > 5_000, `${audio.uint8Array.length}`);
  console.log(`${audio.uint8Array.length} bytes of ${audio.mediaType}, ${warnings.length} warnings`);
}
