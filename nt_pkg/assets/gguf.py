"""A model in a GGUF file, as a folder of floats that transformers, DeepSpeed and vLLM load.

GGUF packs weights in few bits. transformers turns them back into floats, with the rounding that is
in them, and a tokenizer that it makes from the file. Its model cannot be saved or trained as it is,
because it keeps what belongs to the file; so the weights go into a fresh model of the same kind.
"""

import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from nt_pkg.files.json_files import sha256_file
from nt_pkg.jobs.model_folder import check_whole

logger = logging.getLogger(__name__)
_OF_THE_FILE = ("quantization_config", "_model_name_or_path")


def convert_gguf(path: Path, out_dir: Path) -> dict[str, Any]:
    """Write the model of a GGUF file to a folder in float32 and return what became of it.

    Args:
        path: the file.
        out_dir: folder of the model; its old content is replaced when the new one is complete.

    Returns:
        `files` with their SHA-256, and `weights`: tensors by the number format that they had.

    Raises:
        ValueError: transformers cannot read the file, or it has no chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        loaded, info = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
        )
        check_whole(path, info)
        tokenizer = AutoTokenizer.from_pretrained(
            path.parent, gguf_file=path.name, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ValueError(
            f"{path} is no model in GGUF that transformers can read: {error}; give the folder of "
            "the model as `path` or `hub` instead"
        ) from error
    if not tokenizer.chat_template:
        raise ValueError(
            f"{path} has no chat template, so nothing can be asked: take an instruction model"
        )
    config = loaded.config
    own = {k: v for k, v in config.to_dict().items() if k not in _OF_THE_FILE}
    fresh = type(loaded)(type(config).from_dict(own))
    fresh.load_state_dict(loaded.state_dict())
    new = out_dir.with_name(f".{out_dir.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    fresh.save_pretrained(new)
    tokenizer.save_pretrained(new)
    shutil.rmtree(out_dir, ignore_errors=True)
    new.rename(out_dir)
    weights = _formats(path)
    logger.info("%s held %s; all are float32 now", path.name, weights)
    return {
        "weights": weights,
        "files": {each.name: sha256_file(each) for each in sorted(out_dir.iterdir())},
    }


def _formats(path: Path) -> dict[str, int]:
    """Return the number of tensors in each number format of the file."""
    from gguf import GGUFReader

    found = Counter(tensor.tensor_type.name for tensor in GGUFReader(path).tensors)
    return dict(sorted(found.items()))
