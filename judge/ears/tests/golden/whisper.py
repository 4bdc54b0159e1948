"""Makes the folder whisper/: a tiny Whisper with seeded random weights, and what
the transformers library says about it, for the parity tests of the recogniser.

    python3 -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
    venv/bin/python whisper.py mos.safetensors whisper

No trained weights are needed: what is compared is arithmetic. The clip is the
speech kept for the quality estimate. The weights are kept in 16 bits, as large
published models are, and are large enough for attention to be uneven. Values
beyond a few rows are kept as means, so that each is in one of them.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|transcribe|>",
           "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", "<|0.00|>"]
TEXT = 256 + 2
SIZES = dict(
    vocab_size=TEXT + len(SPECIAL), num_mel_bins=80, d_model=32, encoder_layers=2, encoder_attention_heads=2,
    encoder_ffn_dim=64, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=96,
    max_source_positions=1500, max_target_positions=64,
)
SUPPRESSED = dict(suppress_tokens=[1, 2, 7], begin_suppress_tokens=[220, TEXT])
STEPS = 24


def byte_letters():
    """The letters that stand for bytes in this kind of tokenizer."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(others))]


def tokenizer():
    vocabulary = {letter: token for token, letter in enumerate(byte_letters())}
    vocabulary |= {"th": 256, "the": 257}
    added = [
        dict(id=TEXT + place, content=content, single_word=False, lstrip=False, rstrip=False,
             normalized=False, special=True)
        for place, content in enumerate(SPECIAL)
    ]
    return dict(
        version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
        pre_tokenizer=dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True),
        post_processor=None,
        decoder=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="",
                   end_of_word_suffix="", fuse_unk=False, byte_fallback=False, vocab=vocabulary,
                   merges=["t h", "th e"]),
    )


def network():
    torch.manual_seed(1)
    model = WhisperForConditionalGeneration(WhisperConfig(**SIZES, pad_token_id=TEXT, bos_token_id=TEXT,
                                                          eos_token_id=TEXT, decoder_start_token_id=TEXT + 1))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "encoder.embed_positions" not in name:
                scale = 0.3 if "embed" in name else 0.5 if weight.dim() > 1 else 0.3
                weight.copy_(torch.randn(weight.shape) * scale + ("norm.weight" in name))
            weight.copy_(weight.half().float())
    return model.eval()


def greedy(model, heard, language):
    tokens = [TEXT + 1, TEXT + SPECIAL.index(language), TEXT + 5, TEXT + 8]
    never = torch.zeros(SIZES["vocab_size"])
    never[SUPPRESSED["suppress_tokens"]] = -torch.inf
    never[TEXT + 1:] = -torch.inf
    said, all_logits = [], []
    for step in range(STEPS):
        logits = model(encoder_outputs=(heard,), decoder_input_ids=torch.tensor([tokens + said])).logits[0, -1]
        all_logits.append(logits)
        allowed = logits + never
        if step == 0:
            allowed[SUPPRESSED["begin_suppress_tokens"]] = -torch.inf
        best, second = allowed.topk(2).values
        assert best - second > 1e-3, "too near to be compared"
        said.append(int(allowed.argmax()))
        if said[-1] == TEXT:
            break
    return said, torch.stack(all_logits)


@torch.no_grad()
def main(speech, target):
    target = pathlib.Path(target)
    target.mkdir(exist_ok=True)
    clip = load_file(speech)["samples"].astype(np.float32) / 32768
    features = WhisperFeatureExtractor()(clip, sampling_rate=16_000, return_tensors="pt").input_features
    model = network()
    heard = model.model.encoder(features).last_hidden_state
    first = model(encoder_outputs=(heard,), decoder_input_ids=torch.tensor([[TEXT + 1]])).logits[0, -1]
    golden = {
        "features": features[0].T[::100],
        "feature_means": features[0].mean(0),
        "heard": heard[0, ::100],
        "heard_means": heard[0].mean(0),
        "languages": first[TEXT + 2:TEXT + 4],
    }
    for language in ["<|en|>", "<|zh|>"]:
        said, logits = greedy(model, heard, language)
        golden |= {f"{language}.tokens": torch.tensor(said, dtype=torch.int32), f"{language}.logits": logits}
        print(language, said)
    save_file({name: np.ascontiguousarray(value.numpy()) for name, value in golden.items()},
              target / "golden.safetensors")
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()
               if name != "proj_out.weight"}
    save_torch(weights, target / "model.safetensors")
    config = SIZES | {"activation_function": "gelu", "model_type": "whisper"} | SUPPRESSED
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (target / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
