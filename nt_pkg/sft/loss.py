"""The loss of a student, without the logits of all tokens in memory.

Logits are computed only for tokens with loss, in chunks, and together with their gradients. All
logits of 32,768 tokens over 152,064 words would take 20 GB in float32, and their gradient as much
again. `linear_cross_entropy` of torch 2.13 is similar, but it returns the sum over bfloat16 inputs
in bfloat16, that is with three digits, and scales gradients by a bfloat16 number.
"""

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from nt_pkg.cost.memory import MAX_LOGITS
from nt_pkg.engines._output_layer import has_plain_head

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def give_loss(model: "PreTrainedModel") -> None:
    """Make the model return the summed loss of some of its tokens when it is called.

    Call it with `at` (positions in the flattened tokens, each before the token that it predicts),
    `targets` (those tokens), and its usual arguments. The output layer still runs as a module, so
    that ZeRO-3 gathers its weight, tied or not.
    """
    own = model.forward
    if not has_plain_head(model):
        model.forward = partial(_loss_of_logits, own)
        return
    head = model.get_output_embeddings()
    head.forward = lambda hidden, targets: summed_loss(hidden, head.weight, targets)
    model.forward = partial(_loss_of_hidden, model.base_model, head)


def _loss_of_hidden(
    base: "torch.nn.Module",
    head: "torch.nn.Module",
    at: "torch.Tensor",
    targets: "torch.Tensor",
    **inputs: Any,
) -> "torch.Tensor":
    hidden = base(**inputs).last_hidden_state
    loss: torch.Tensor = head(hidden.flatten(0, 1).index_select(0, at), targets)
    return loss


def _loss_of_logits(
    forward: Any, at: "torch.Tensor", targets: "torch.Tensor", **inputs: Any
) -> "torch.Tensor":
    from torch.nn.functional import cross_entropy

    logits = forward(**inputs).logits.flatten(0, 1).index_select(0, at)
    return cross_entropy(logits.float(), targets, reduction="sum")


def summed_loss(
    hidden: "torch.Tensor", weight: "torch.Tensor", targets: "torch.Tensor", chunk: int = 0
) -> "torch.Tensor":
    """Return the summed cross-entropy of linear logits, in float32.

    Args:
        hidden: tokens x width.
        weight: vocabulary x width.
        targets: tokens.
        chunk: tokens whose logits are in memory at a time; 0: as many as MAX_LOGITS allows.
    """
    chunk = chunk or max(1, MAX_LOGITS // len(weight))
    loss: torch.Tensor = _function().apply(hidden, weight, targets, chunk)
    return loss


@cache
def _function() -> Any:
    """Return the autograd function; torch is not imported with this module."""
    import torch

    class SummedLoss(torch.autograd.Function):  # type: ignore[misc]
        """The forward pass computes both gradients; the backward pass only scales them."""

        @staticmethod
        def forward(
            ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk: int
        ) -> torch.Tensor:
            by_hidden = torch.empty_like(hidden)
            # One chunk needs no sum; a sum over several is kept in float32 whatever their dtype.
            by_weight: torch.Tensor | None = None
            loss = hidden.new_zeros((), dtype=torch.float32)
            for start in range(0, len(hidden), chunk):
                part = slice(start, start + chunk)
                slopes, part_loss = _slopes(hidden[part] @ weight.T, targets[part])
                loss += part_loss
                torch.mm(slopes, weight, out=by_hidden[part])
                found = slopes.T @ hidden[part]
                by_weight = found if by_weight is None else by_weight.float().add_(found)
            if by_weight is None:
                by_weight = torch.zeros_like(weight)
            ctx.save_for_backward(by_hidden, by_weight.to(weight.dtype))
            return loss

        @staticmethod
        def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            by_hidden, by_weight = ctx.saved_tensors
            return by_hidden.mul_(scale), by_weight.mul_(scale), None, None

    return SummedLoss


def _slopes(
    logits: "torch.Tensor", targets: "torch.Tensor"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the gradient of the summed loss with respect to the logits, and the loss."""
    import torch

    kind, logits = logits.dtype, logits.float()
    totals = logits.logsumexp(dim=1, keepdim=True)
    picked = logits.gather(1, targets[:, None])
    loss = (totals - picked).sum()
    logits.sub_(totals).exp_()
    logits.scatter_add_(1, targets[:, None], torch.full_like(picked, -1.0))
    return logits.to(kind), loss
