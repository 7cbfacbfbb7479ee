"""The engine that runs a model with `transformers` generate, in fixed batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nt_pkg.config.engines import EngineRuntime, Sampling
from nt_pkg.engines._base import Completion, EngineKind, Model, Request
from nt_pkg.engines._chat import Chat, ChatParams, no_room
from nt_pkg.identity.seeds import digest_int
from nt_pkg.jobs.model_folder import check_whole, loading
from nt_pkg.jobs.progress import Progress

if TYPE_CHECKING:
    import torch


class _Told:
    """Counts the tokens of a batch as they are made; asked by `generate` after each, stops none."""

    def __init__(self, num_answers: int, max_new: int) -> None:
        self._num, self._left = num_answers, max_new
        self._progress = Progress(f"tokens of a batch of {num_answers}, at most", max_new)

    def __call__(self, ids: "torch.Tensor", scores: Any, **kwargs: Any) -> "torch.Tensor":
        self._left -= 1
        if self._left:  # after the last one the batch itself is counted
            self._progress.add(1)
        return ids.new_zeros(len(ids), dtype=bool)


class TransformersEngine:
    """A causal language model on the first GPU, or on the CPU if none is seen.

    Text of a request may depend on its batch only through rounding; batches are cut from the full
    list of requests, so they are the same after a restart.
    """

    def __init__(self, params: ChatParams, runtime: EngineRuntime, model: Model | None) -> None:
        """Load model and tokenizer."""
        assert model is not None
        import torch
        import transformers
        from transformers import AutoModelForCausalLM, GenerationConfig

        self.versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        self.batch_size = runtime.batch
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._chat = Chat.load(model.folder, params.chat_template)
        self._tokenizer = self._chat.tokenizer
        with loading(model.folder):
            self._model, info = AutoModelForCausalLM.from_pretrained(
                model.folder, dtype="auto", trust_remote_code=False, output_loading_info=True
            )
            check_whole(model.folder, info)
        self._model.to(self._device).eval()
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        # Ignore a model's own defaults, such as a repetition penalty.
        self._model.generation_config = GenerationConfig()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request; a prompt that leaves no room is a failed one."""
        context = self._model.config.max_position_embeddings
        prompts = [self._chat.prompt_ids(request) for request in requests]
        # Each answer has its own limit: padding takes no positions.
        rooms = [min(sampling.max_tokens, context - len(prompt)) for prompt in prompts]
        fitting = [prompt for prompt, room in zip(prompts, rooms, strict=True) if room > 0]
        new = iter(self._new_ids(fitting, max(rooms), requests, sampling) if fitting else [])
        return [
            self._chat.completion(request, len(prompt), next(new)[:room])
            if room > 0
            else no_room(request, len(prompt))
            for request, prompt, room in zip(requests, prompts, rooms, strict=True)
        ]

    def _new_ids(
        self,
        prompts: list[list[int]],
        max_new: int,
        requests: Sequence[Request],
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return up to `max_new` ids after each prompt, with padding after an end token."""
        import torch

        torch.manual_seed(digest_int(*(request.seed for request in requests)) % 2**63)
        batch = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._device)
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=max_new,
                do_sample=sampling.temperature > 0,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=sorted(self._chat.ends),
                stopping_criteria=[_Told(len(prompts), max_new)],
                **(drawn if sampling.temperature > 0 else {}),
            )
        new: list[list[int]] = output[:, batch["input_ids"].shape[1] :].tolist()
        return new


ENGINE = EngineKind(params=ChatParams, start=TransformersEngine, version=3, needs_model=True)
