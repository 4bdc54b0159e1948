"""Makes hibari.safetensors: what onnxruntime and numpy say about a few phoneme
strings, for the parity tests of the candle port.

    python3 -m venv venv
    venv/bin/pip install onnx==1.17.0 onnxruntime==1.23.2 safetensors==0.8.0 hibari-tts==0.2.1
    venv/bin/python generate.py hibari.safetensors

The reference is the package's own graph with its 8-bit weights widened to f32
(`float_graph`), so that a difference is a mistake and not quantisation. The
sound is the package's own signal processing with the noise left out.

The five spectra of a sentence come to megabytes, so three views of them are
kept: some frames in full, the mean of every bin over all frames, and the mean
of every frame over all bins. Every value of the output is in one of the means.
"""

import sys

import numpy as np
import onnx
import onnxruntime
from hibari import dsp
from hibari.tts import Hibari
from hibari.voices import voice_path
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

# Name, phonemes, speed, every how many frames one is kept.
CASES = [
    ("plain", "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˌOvəɹ ðə lˈAzi dˈɔɡ, ænd ʃi sˈɛlz sˈi ʃˌɛlz.", 1.0, 40),
    ("fast", "həlˈO ðˈɛɹ, hˌW ˈɑɹ ju?", 1.4, 60),
    ("slow", "jˈɛs.", 0.5, 80),
]


class NoNoise:
    """Stands in for numpy's generator and is silent."""

    def standard_normal(self, shape, dtype):
        return np.zeros(shape, dtype)


def float_graph(path):
    """The graph with every quantised product replaced by a plain one."""
    model = onnx.load(path)
    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    source = {node.output[0]: node for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    consumers = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    replacement, dropped, widened = {}, set(), {}
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        weight = node.input[1]
        scale = values[weight.removesuffix("_quantized") + "_scale"]
        widened[weight] = values[weight].astype(np.float32) * scale
        (cast,) = consumers[node.output[0]]
        (scaled,) = consumers[cast.output[0]]
        (scales,) = [other for other in graph.node if scaled.input[1] in other.output]
        product = helper.make_node("MatMul", [source[node.input[0]].input[0], weight], [scaled.output[0]])
        dropped.update(id(each) for each in (node, cast, scaled, scales))
        replacement[id(scaled)] = product
    nodes = []
    for node in graph.node:
        if id(node) in replacement:
            nodes.append(replacement[id(node)])
        elif id(node) not in dropped and node.op_type != "DynamicQuantizeLinear":
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in list(graph.initializer):
        if tensor.name in widened:
            tensor.CopyFrom(numpy_helper.from_array(widened[tensor.name], tensor.name))
        elif tensor.name not in used:
            graph.initializer.remove(tensor)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def session(model, threads=1):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def golden(network, vocabulary, name, phonemes, speed, every):
    ids = [0, *[vocabulary[phoneme] for phoneme in phonemes], 0]
    feed = {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}
    *parts, f0 = (output[0] for output in network.run(None, feed))
    spectra = np.concatenate(parts).T  # [frames, 5 * 601]
    sound = dsp.synth(*(part.copy() for part in parts), f0, NoNoise())
    middle = len(sound) // 2
    return {
        f"{name}.symbols": np.array(ids, np.int32),
        f"{name}.speed": np.array([speed], np.float32),
        f"{name}.f0": f0,
        f"{name}.every": np.array([every], np.int32),
        f"{name}.frames": np.ascontiguousarray(spectra[::every]),
        f"{name}.bin_means": spectra.mean(axis=0, dtype=np.float64).astype(np.float32),
        f"{name}.frame_means": spectra.mean(axis=1, dtype=np.float64).astype(np.float32),
        # Both ends and the middle, with the power of every hop between.
        f"{name}.sound_start": sound[:600],
        f"{name}.sound_middle": np.ascontiguousarray(sound[middle : middle + 3000]),
        f"{name}.sound_end": np.ascontiguousarray(sound[-600:]),
        f"{name}.hop_power": np.square(sound.reshape(-1, dsp.HOP), dtype=np.float64).mean(axis=1).astype(np.float32),
    }


def main(target):
    network = session(float_graph(voice_path("heart")))
    vocabulary = Hibari("heart").vocab
    tensors = {}
    for case in CASES:
        tensors |= golden(network, vocabulary, *case)
    save_file(tensors, target)
    print(f"{target}: {len(tensors)} tensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
