"""LiveKit Agents' plugin for OpenAI, with its own defaults: address, key."""

import asyncio
import sys

from livekit.agents import utils
from livekit.plugins import openai

address, key = sys.argv[1:]


async def seconds(**options):
    async with utils.http_context.open():
        voice = openai.TTS(base_url=f"{address}/v1", api_key=key, **options)
        heard = 0.0
        async with voice.synthesize("Good morning.") as spoken:
            async for audio in spoken:
                heard += audio.frame.duration
        return heard


# Its defaults are gpt-4o-mini-tts, ash, mp3 and events; tts-1 comes as bare audio.
for options in [{}, {"instructions": "Speak softly."}, {"model": "tts-1", "voice": "alloy", "response_format": "wav"}]:
    heard = asyncio.run(seconds(**options))
    assert heard > 0.5, (options, heard)
    print(f"{heard:.2f} s with {options}")
