"""The other side of the voice bench: the hibari package on onnxruntime.

Reads one JSON request a line, `{"engine": "int8" or "f32", "text": ...}`, and
answers with a line of timings. `argv[1]` is the folder of generate.py, which
knows how to widen the graph to f32.
"""

import json
import sys
import time

sys.path.insert(0, sys.argv[1])

from generate import float_graph, session  # noqa: E402
from hibari.tts import SAMPLE_RATE, Hibari  # noqa: E402
from hibari.voices import voice_path  # noqa: E402


def engine(model):
    voice = Hibari("heart")
    voice.sess = session(model)
    voice("Warm up.")
    return voice


def speak(voice, text):
    start = time.perf_counter()
    sentences = voice.phonemize(text)
    spelled = time.perf_counter()
    first, samples = None, 0
    for phonemes in sentences:
        samples += len(voice.from_phonemes(phonemes, seed=1))
        first = first or time.perf_counter()
    return {
        "text": spelled - start,
        "first": first - start,
        "total": time.perf_counter() - start,
        "audio": samples / SAMPLE_RATE,
    }


def main():
    shipped = voice_path("heart")
    engines = {"int8": engine(shipped), "f32": engine(float_graph(shipped))}
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(speak(engines[request["engine"]], request["text"])), flush=True)


if __name__ == "__main__":
    main()
