"""OpenAI's own client against a fleet: address, good key, bad key."""

import sys

import openai

address, good, bad = sys.argv[1:]


def client(key):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=20)


def speak(text, key=good, **more):
    return client(key).audio.speech.create(model="hibari", voice="heart", input=text, **more)


def raised(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise SystemExit(f"no {kind.__name__} was raised")


whole = speak("Good morning.", response_format="wav").read()
assert whole[:4] == b"RIFF" and len(whole) > 10_000, len(whole)

speech = client(good).audio.speech.with_streaming_response
with speech.create(model="hibari", voice="heart", input="One. Two. Three.", response_format="pcm") as streamed:
    pieces = list(streamed.iter_bytes())
assert len(pieces) > 1 and sum(map(len, pieces)) > 10_000

error = raised(openai.AuthenticationError, lambda: speak("Hello.", key=bad))
assert error.body["error_code"] == "Unauthorized", error.body
error = raised(openai.BadRequestError, lambda: client(good).audio.speech.create(model="hibari", voice="nobody", input="Hello."))
assert error.param == "voice" and error.body["error_code"] == "UnknownVoice", error.body
error = raised(openai.NotFoundError, lambda: client(good).audio.speech.create(model="other", voice="heart", input="Hello."))
assert error.body["error_code"] == "ModelNotFound", error.body

# The fleet has one place: while it is taken, everybody else is told so.
long = "This sentence takes a while to be spoken to its end. " * 70
with speech.create(model="hibari", voice="heart", input=long, response_format="pcm") as taken:
    # Kept, as dropping it would end the answer.
    pieces = taken.iter_bytes()
    next(pieces)
    error = raised(openai.RateLimitError, lambda: speak("Hello."))
    assert error.body["error_code"] == "TooManyRequests", error.body
    assert error.response.headers["retry-after"] == "1"

print([model.id for model in client(good).models.list()])
