"""Write a tiny model in GGUF, turn it into a folder, and compare: tests/unit/test_real_model.py."""

import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from nt_pkg.assets.gguf import convert_gguf
from nt_pkg.files.json_files import sha256_file

WIDTH, HIDDEN, LAYERS, HEADS, KEY_HEADS = 32, 64, 2, 4, 2


def main() -> None:
    """Check it in the folder of the command line."""
    folder = Path(sys.argv[1])
    path = folder / "tiny.gguf"
    words = _write(path)
    made = convert_gguf(path, folder / "model")

    assert made["weights"] == {"F32": 2 * LAYERS + 2, "Q4_1": 7 * LAYERS}, made["weights"]
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    assert not hasattr(model.config, "quantization_config")
    assert all(each.dtype == torch.float32 for each in model.parameters())
    state = model.state_dict()
    for at in range(LAYERS):
        for ours, theirs in (("mlp.down_proj", "ffn_down"), ("self_attn.v_proj", "attn_v")):
            found = state[f"model.layers.{at}.{ours}.weight"].numpy()
            assert np.array_equal(found, WRITTEN[f"blk.{at}.{theirs}.weight"]), (at, ours)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    ids = tokenizer("ab<|im_end|>", add_special_tokens=False)["input_ids"]
    assert ids == [words.index("ab"), words.index("<|im_end|>")], ids
    asked = [{"role": "user", "content": "ab"}]
    assert tokenizer.apply_chat_template(asked, tokenize=False) == "ab<|im_end|>"
    files = {each.name: sha256_file(each) for each in (folder / "model").iterdir()}
    assert made["files"] == files


WRITTEN: dict[str, np.ndarray] = {}  # weights as four bits can hold them


def _write(path: Path) -> list[str]:
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"abcdefgh", "ab"]
    words += [f"w{n}" for n in range(32 - len(words))]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control] * 3 + [normal] * (len(words) - 3))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(
        "{% for each in messages %}{{ each['content'] }}<|im_end|>{% endfor %}"
    )
    draw = np.random.default_rng(0)
    plain = {"token_embd": (len(words), WIDTH), "output_norm": (WIDTH,)}
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (WIDTH * KEY_HEADS // HEADS, WIDTH),
        "attn_v": (WIDTH * KEY_HEADS // HEADS, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (HIDDEN, WIDTH),
        "ffn_up": (HIDDEN, WIDTH),
        "ffn_down": (WIDTH, HIDDEN),
    }
    kind = gguf.GGMLQuantizationType.Q4_1
    for at in range(LAYERS):
        plain[f"blk.{at}.attn_norm"] = plain[f"blk.{at}.ffn_norm"] = (WIDTH,)
        for name, shape in shapes.items():
            packed = gguf.quantize(draw.normal(size=shape).astype(np.float32), kind)
            WRITTEN[f"blk.{at}.{name}.weight"] = gguf.dequantize(packed, kind)
            writer.add_tensor(f"blk.{at}.{name}.weight", packed, raw_dtype=kind)
    for name, shape in plain.items():
        writer.add_tensor(f"{name}.weight", draw.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return words


if __name__ == "__main__":
    main()
