"""Attention over packed documents, computed within each document and not over the whole row.

Ranks that share the tokens of a row exchange them for heads around it: each has all tokens of some
heads (DeepSpeed-Ulysses, Jacobs et al. 2023, arXiv 2309.14509).

`transformers` calls the functions registered here instead of its own attention. Its own separates
packed documents by a mask of rows x tokens x tokens, and computes every entry of it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

Attention = Literal["documents", "varlen", "sdpa"]
_PREFIX = "nt_"  # starts the names under which we register with transformers


def choose_attention(
    wanted: Literal["auto"] | Attention, config: "PretrainedConfig", dtype: str, device: str
) -> Attention:
    """Return the attention that a training uses.

    Args:
        wanted: what the configuration asks for; "auto" takes the fastest one that is exact here.
        config: configuration of the student.
        dtype: dtype of its weights.
        device: "cuda" or "cpu".

    Raises:
        ValueError: the machine or the student does not support what is wanted.
    """
    can_split = _attends_to_all(config)
    can_varlen = can_split and dtype != "float32" and device == "cuda" and _has_flash()
    if wanted == "auto":
        return "varlen" if can_varlen else "documents" if can_split else "sdpa"
    if wanted == "documents" and not can_split:
        raise ValueError(
            f"runtime.attention {wanted!r} does not support attention windows, and this student "
            "has some: set it to 'auto' or 'sdpa'"
        )
    if wanted == "varlen" and not can_varlen:
        raise ValueError(
            "runtime.attention 'varlen' needs a GPU of compute capability 8.0 or more, a 16-bit "
            "dtype and a student without attention windows: set it to 'auto'"
        )
    return wanted


def _attends_to_all(config: "PretrainedConfig") -> bool:
    """Return whether every layer sees all earlier tokens of a document, with a plain softmax."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windows = getattr(config, "use_sliding_window", True) and getattr(
        config, "sliding_window", None
    )
    softcap = getattr(config, "attn_logit_softcapping", None)
    return not (kinds - {"full_attention"} or windows or softcap)


def _has_flash() -> bool:
    import torch

    major, _ = torch.cuda.get_device_capability()
    return bool(major >= 8)


def register(attention: Attention, sharing: "torch.distributed.ProcessGroup | None" = None) -> str:
    """Make an attention known to transformers and return its name there.

    Args:
        attention: how it is computed.
        sharing: the ranks that share the tokens of a row, if there are several.

    Raises:
        ValueError: this attention cannot be shared.
    """
    from transformers import AttentionInterface

    if attention == "sdpa":
        if sharing:
            raise ValueError(
                "runtime.sequence_parallel does not support attention 'sdpa', whose mask needs the "
                "whole row: set attention to 'auto', or sequence_parallel to 1 for a student with "
                "attention windows"
            )
        return "sdpa"
    name = _PREFIX + attention
    kinds: dict[str, Callable[..., Any]] = {"documents": _documents, "varlen": _varlen}
    compute = kinds[attention]
    AttentionInterface.register(name, _shared(compute, sharing) if sharing else compute)
    return name


def _shared(compute: Callable[..., Any], sharing: "torch.distributed.ProcessGroup") -> Any:
    """Return an attention whose tensors are 1 x heads x this rank's tokens x width of a head."""
    from deepspeed.sequence.layer import DistributedAttention

    def over_all_tokens(
        *tensors: "torch.Tensor", module: "torch.nn.Module", **options: Any
    ) -> "torch.Tensor":
        found, _ = compute(module, *(each.transpose(1, 2) for each in tensors), None, **options)
        return found

    exchange = DistributedAttention(over_all_tokens, sharing, scatter_idx=2, gather_idx=1)

    def attend(
        module: "torch.nn.Module",
        query: "torch.Tensor",
        key: "torch.Tensor",
        value: "torch.Tensor",
        attention_mask: "torch.Tensor | None",
        **options: Any,
    ) -> tuple["torch.Tensor", None]:
        assert attention_mask is None, "packed documents come without a mask"
        tensors = (each.transpose(1, 2) for each in (query, key, value))
        return exchange(*tensors, batch_dim_idx=0, module=module, **options), None

    return attend


def layout_for(
    attention: Attention, lengths: Sequence[int], device: "torch.device"
) -> dict[str, Any]:
    """Return the keyword arguments of the model for documents of these lengths in one row."""
    import torch

    if attention == "documents":
        return {"document_tokens": tuple(lengths)}
    if attention == "varlen":
        starts = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
        return {"document_starts": starts, "longest_document": max(lengths)}
    return {}


def _documents(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    document_tokens: Sequence[int],
    **_: object,
) -> tuple["torch.Tensor", None]:
    """Attend within each document in turn; tensors are 1 x heads x tokens x width of a head."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    assert attention_mask is None, "packed documents come without a mask"
    queries, keys, values = (each.split(document_tokens, dim=2) for each in (query, key, value))
    found = [
        scaled_dot_product_attention(
            q,
            k,
            v,
            is_causal=True,
            scale=scaling,
            dropout_p=dropout,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(found, dim=2).transpose(1, 2), None


@cache
def _asks_for_groups() -> bool:
    """Return whether torch's kernel must be told of fewer key heads; older ones just take them."""
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in signature(varlen_attn).parameters


def _varlen(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    document_starts: "torch.Tensor",
    longest_document: int,
    **_: object,
) -> tuple["torch.Tensor", None]:
    """Attend within all documents with one kernel (flash attention, as it comes with torch)."""
    from torch.nn.attention.varlen import varlen_attn

    assert attention_mask is None, "packed documents come without a mask"
    assert not dropout, "this kernel has no dropout"
    found = varlen_attn(
        *(each[0].transpose(0, 1) for each in (query, key, value)),
        document_starts,
        document_starts,
        longest_document,
        longest_document,
        scale=scaling,
        window_size=(-1, 0),  # causal
        **({"enable_gqa": query.shape[1] != key.shape[1]} if _asks_for_groups() else {}),
    )
    return found[None], None
