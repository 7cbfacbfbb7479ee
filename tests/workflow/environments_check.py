"""Check that every kind of environment is enough for the rules that use it.

    python -m tests.workflow.environments_check

Makes the environments `workflow`, `training` and `inference-cpu` with envs/install.sh, runs a small
study with jobs of every rule in them, looks up in its results which versions it ran with, and lets
vLLM and transformers continue the same tokens. Prints what the environments took.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nt_pkg.manifest import read_json
from tests.workflow.sandbox import ROOT, TINY, copy_repository, run, table

OVERLAY = Path("tests/workflow/environments.yaml")
KINDS = ("workflow", "training", "inference-cpu")

# Runs in the environment for inference. The sizes are ones that vLLM can do on a CPU.
_GENERATE = """
import sys
import torch
import transformers
from vllm import LLM, SamplingParams

torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=128, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
)
model = transformers.LlamaForCausalLM(config).eval()
model.save_pretrained(sys.argv[1])
prompt = [3, 14, 15, 92, 65]
expected = model.generate(
    torch.tensor([prompt]), max_new_tokens=8, min_new_tokens=8, do_sample=False
)[0, len(prompt):].tolist()
llm = LLM(sys.argv[1], skip_tokenizer_init=True, dtype="float32", enforce_eager=True)
sampling = SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True, detokenize=False)
found = llm.generate({"prompt_token_ids": prompt}, sampling, use_tqdm=False)[0].outputs[0].token_ids
assert list(found) == expected, (found, expected)
"""
_VLLM = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCHDYNAMO_DISABLE": "1",
}


def main() -> int:
    """Run the command line."""
    with tempfile.TemporaryDirectory(prefix="nt-environments-") as temporary:
        folder = Path(temporary)
        rows = [_install(kind, folder / kind) for kind in KINDS]
        sys.stdout.write(table(("environment", "seconds", "MB", "packages"), rows))
        sys.stdout.flush()

        begun = time.monotonic()
        copy = folder / "copy"
        copy_repository(copy)
        snakemake = [_python(folder / "workflow"), "-m", "snakemake", "--profile", "profiles/local"]
        run(
            copy,
            [*snakemake, "--configfile", str(TINY), str(OVERLAY)],
            NT_ENV_TRAINING=str(folder / "training"),
            NT_ENV_INFERENCE=str(folder / "inference-cpu"),
        )
        _check_versions(copy)
        sys.stdout.write(f"each rule in its environment: {time.monotonic() - begun:.0f} s\n")

        begun = time.monotonic()
        script = folder / "generate.py"
        script.write_text(_GENERATE)
        inference = _python(folder / "inference-cpu")
        run(copy, [inference, str(script), str(folder / "model")], **_VLLM)
        sys.stdout.write(f"vLLM says what transformers says: {time.monotonic() - begun:.0f} s\n")
    return 0


def _install(kind: str, folder: Path) -> tuple[str, str, str, str]:
    """Make an environment and return what it took."""
    begun = time.monotonic()
    subprocess.run([ROOT / "envs" / "install.sh", kind, folder], check=True)
    seconds = time.monotonic() - begun
    size = subprocess.run(["du", "-sm", folder], check=True, capture_output=True, text=True).stdout
    packages = len(list(folder.glob("lib/python*/site-packages/*.dist-info")))
    return kind, f"{seconds:.0f}", size.split()[0], str(packages)


def _python(environment_folder: Path) -> str:
    return str(environment_folder / "bin" / "python")


def _check_versions(copy: Path) -> None:
    """Compare what the results say of their making with the pins of the kinds."""
    evals = copy / "results/evals/tiny-llama/tiny-random/system2/seed0/tiny_free"
    for kind, path in (
        ("training", copy / "results/sft/tiny-llama/tiny-random/system2/seed0/run.json"),
        ("inference-cpu", evals / "think.samples.json"),
    ):
        pins = (ROOT / "envs" / f"{kind}.txt").read_text().splitlines()
        version = read_json(path)["versions"]["transformers"]
        assert f"transformers=={version}" in pins, f"{path} was made with transformers {version}"


if __name__ == "__main__":
    sys.exit(main())
