"""Pipecat's service for OpenAI, with its own defaults: address, key."""

import asyncio
import sys

from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame
from pipecat.services.openai.tts import OpenAITTSService

address, key = sys.argv[1:]


async def speak():
    service = OpenAITTSService(
        api_key=key,
        base_url=f"{address}/v1",
        settings=OpenAITTSService.Settings(instructions="Speak softly."),
    )
    service._sample_rate = 24000
    audio = b""
    async for frame in service.run_tts("Good morning.", "one"):
        assert not isinstance(frame, ErrorFrame), frame
        if isinstance(frame, TTSAudioRawFrame):
            audio += frame.audio
    return audio


audio = asyncio.run(speak())
assert len(audio) > 24_000, len(audio)
print(f"{len(audio)} bytes")
