"""Makes mos.safetensors: what librosa and onnxruntime say about a few clips, for
the parity tests of the quality estimate.

    python3 -m venv venv
    venv/bin/pip install onnxruntime==1.32.0 librosa==0.11.0 safetensors==0.8.0 soxr \
        hibari-tts==0.2.1 && venv/bin/pip download --no-deps speechmos==0.0.1.1
    venv/bin/python mos.py speechmos-0.0.1.1-py3-none-any.whl mos.safetensors

The recipe is the one of speechmos for its P.808 network; a clip longer than 9 s
is heard in pieces, evenly spread, and their scores averaged. Of the features
every 60th frame is kept. Noise comes from a generator of 32 bits that the tests
repeat, so that only one clip of speech needs to be kept.
"""

import sys
import zipfile

import librosa
import numpy as np
import onnxruntime
from hibari.tts import Hibari
from safetensors.numpy import save_file

RATE = 16_000
PIECE = 144_000
EVERY = 60


def features(clip):
    heard = np.resize(clip, PIECE).astype(np.float32)
    power = librosa.feature.melspectrogram(y=heard, sr=RATE, n_fft=321, hop_length=160, n_mels=120)
    return ((librosa.power_to_db(power, ref=np.max) + 40) / 40).T[:900].astype(np.float32)


def score(network, clip):
    pieces = -(-len(clip) // PIECE)
    rest = max(len(clip) - PIECE, 0)
    starts = [piece * rest // max(pieces - 1, 1) for piece in range(pieces)]
    return np.mean([network.run(None, {"input_1": features(clip[s:])[None]})[0][0, 0] for s in starts])


def noise(count):
    values, state = np.empty(count, np.float32), 1
    for place in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values[place] = (state >> 8) / 2**23 - 1
    return values


def speech():
    audio = Hibari("heart")("We keep the voice, and let it go on speaking.")
    audio = audio[0] if isinstance(audio, tuple) else audio
    audio = librosa.resample(np.asarray(audio, np.float32), orig_sr=24_000, target_sr=RATE)
    return np.round(audio * 32767).astype(np.int16)


def main(wheel, target):
    network = zipfile.ZipFile(wheel).read("speechmos/dnsmos_models/model_v8.onnx")
    network = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    spoken = speech()
    voice = spoken.astype(np.float32) / 32768
    hiss = noise(12 * RATE)
    clips = {
        "speech": voice,
        "noise": 0.3 * hiss[:RATE],
        "noisy_speech": voice + 0.02 * hiss[: len(voice)],
        "long": np.concatenate([np.resize(voice, 8 * RATE), 0.3 * hiss[: 4 * RATE]]),
        "silence": np.zeros(RATE, np.float32),
    }
    tensors = {"samples": spoken}
    for name, clip in clips.items():
        tensors[f"{name}.score"] = np.array([score(network, clip)], np.float32)
        tensors[f"{name}.features"] = np.ascontiguousarray(features(clip)[::EVERY])
        print(name, len(clip), tensors[f"{name}.score"])
    save_file(tensors, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
