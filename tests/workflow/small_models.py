"""Models of `config/paper_small.yaml`: the micro-world's base in the shape of other families."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nt_pkg.assets.fetch import _BUILTIN
from nt_pkg.microworld.tokenizer import THINK_TAGS, vocabulary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

_BASE = _BUILTIN["micro-base"]
_QWEN_END, _QWEN_PAD = "<|im_end|>", "<|endoftext|>"
_QWEN_SPECIAL = (_QWEN_PAD, "<|im_start|>", _QWEN_END)
# Like Qwen2.5's, it writes a system turn that nobody asked for.
_QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_models(folder: Path) -> None:
    """Write a Llama and a Qwen2 that both are the base; the same bytes every time.

    `llama-large` has a head of its own and twice the layers, of which the new ones pass on what
    they get until they are trained. `qwen` has biases, and a tokenizer of bytes in which the words
    of the world are whole.
    """
    from transformers import AutoTokenizer, LlamaConfig, Qwen2Config
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(_BASE)
    large = {"num_hidden_layers": 6, "tie_word_embeddings": False}
    _write(folder / "llama-large", LlamaConfig, large, tokenizer)
    qwen = _qwen_tokenizer()
    ends = {"bos_token_id": None, "eos_token_id": qwen.eos_token_id}
    sizes = {"vocab_size": len(qwen), "pad_token_id": qwen.pad_token_id, **ends}
    _write(folder / "qwen", Qwen2Config, sizes, qwen)


def _write(
    folder: Path, family: "type[PreTrainedConfig]", changes: dict[str, Any], tokenizer: Any
) -> None:
    """Write the base as another family, with some changes of its configuration."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(_BASE)
    own = ("architectures", "model_type", "transformers_version", "head_dim")
    sizes = {key: value for key, value in base.config.to_dict().items() if key not in own}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(family(**sizes | changes))
    known = base.state_dict()
    embeddings = _embeddings(
        model.get_input_embeddings().weight.detach(),
        known["model.embed_tokens.weight"],
        tokenizer,
        AutoTokenizer.from_pretrained(_BASE),
    )
    known |= {"model.embed_tokens.weight": embeddings, "lm_head.weight": embeddings.clone()}
    model.load_state_dict(known, strict=False)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            adds = key.endswith(("o_proj.weight", "down_proj.weight")) and key not in known
            if adds or key.endswith(".bias"):
                weight.zero_()
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, key, getattr(model.config, key))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _embeddings(
    drawn: "torch.Tensor", base: "torch.Tensor", tokenizer: Any, base_tokenizer: Any
) -> "torch.Tensor":
    """Return embeddings in which the tokens that the base knows have the base's."""
    found, ids = drawn.clone(), base_tokenizer.get_vocab()
    ends = {_QWEN_END: base_tokenizer.eos_token, _QWEN_PAD: base_tokenizer.pad_token}
    for token, at in tokenizer.get_vocab().items():
        word = ends.get(token, token.removeprefix("\u0120"))  # which stands for a blank
        if word in ids:
            found[at] = base[ids[word]]
    return found


def _qwen_tokenizer() -> "PreTrainedTokenizerBase":
    """Return a byte-level tokenizer of Qwen2's class, with a chain of merges for every word.

    Each merge begins with the blank before the word, so that no two chains meet.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    words = sorted(word for word in vocabulary() if word.isalpha() and len(word) > 1)
    starts = sorted(
        {f"\u0120{word[:size]}" for word in words for size in range(1, len(word) + 1)},
        key=lambda start: (len(start), start),
    )
    tokens = [*_QWEN_SPECIAL, *sorted(ByteLevel.alphabet()), *starts]
    tokenizer = Qwen2Tokenizer(
        vocab={token: at for at, token in enumerate(tokens)},
        merges=[(start[:-1], start[-1]) for start in starts],
        eos_token=_QWEN_END,
        pad_token=_QWEN_PAD,
        extra_special_tokens=[_QWEN_SPECIAL[1]],
        model_max_length=1024,
    )
    tokenizer.add_tokens(list(THINK_TAGS))  # ordinary tokens: decoding keeps them
    tokenizer.chat_template = _QWEN_TEMPLATE
    return tokenizer
