"""The scorers of lighteval and lm-evaluation-harness on stored outputs, called as they call them.

    python benchmarks/grade_peers.py lighteval|lm_eval FOLDER

Runs in the peer's environment and knows nothing of this project. Reads `{task}.parquet` (text,
gold, solution, num_options) of the folder and writes `{peer}.json`: CPU seconds and verdicts of
each task. Starting and reading are not counted; taking the reasoning away is, as each does it.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Row = dict[str, Any]
OPTION_LETTERS = "ABCDEFGHIJ"


def lighteval() -> dict[str, Callable[[Row], bool]]:
    """Return the scorers of its tasks mmlu_pro and math_500."""
    from lighteval.metrics.metrics import Metrics
    from lighteval.models.model_output import ModelResponse
    from lighteval.tasks.requests import Doc
    from lighteval.utils.utils import remove_reasoning_tags

    letters = Metrics.gpqa_instruct_metric.value.sample_level_fn
    math = Metrics.pass_at_k_math(sample_params={"k": 1, "n": 1}).sample_level_fn

    def response(row: Row) -> Any:
        text = remove_reasoning_tags(row["text"], [("<think>", "</think>")])
        return ModelResponse(text=[text], text_post_processed=[text])

    def choice(row: Row) -> bool:
        choices = list(OPTION_LETTERS[: row["num_options"]])
        doc = Doc(query="", choices=choices, gold_index=choices.index(row["gold"]))
        return bool(letters.compute(doc, response(row)) == 1)

    def solved(row: Row) -> bool:
        doc = Doc(query="", choices=[f"ANSWER: {row['solution']}"], gold_index=0)
        return bool(math.compute(doc, response(row)) == 1)

    return {"supergpqa": choice, "math500": solved}


def lm_eval() -> dict[str, Callable[[Row], bool]]:
    """Return the scorers of its tasks mmlu_pro and minerva_math500 (math_verify)."""
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter
    from lm_eval.tasks.minerva_math.utils import process_results

    pattern = RegexFilter(regex_pattern=r"answer is \(?([ABCDEFGHIJ])\)?")

    def answer(row: Row) -> str:
        return str(row["text"]).split("</think>")[-1].lstrip()

    def choice(row: Row) -> bool:
        letter = pattern.apply([[answer(row)]], [{}])[0][0]
        found = exact_match_hf_evaluate(
            predictions=[letter],
            references=[row["gold"]],
            ignore_case=True,
            ignore_punctuation=True,
        )
        return bool(found["exact_match"] == 1)

    def solved(row: Row) -> bool:
        doc = {"solution": row["solution"], "answer": row["gold"]}
        return bool(process_results(doc, [answer(row)])["math_verify"])

    return {"supergpqa": choice, "math500": solved}


def main() -> int:
    """Run the command line."""
    peer, folder = sys.argv[1], Path(sys.argv[2])
    scorers = {"lighteval": lighteval, "lm_eval": lm_eval}[peer]()
    logging.disable(logging.CRITICAL)
    found = {}
    for task, scorer in scorers.items():
        rows = pq.read_table(folder / f"{task}.parquet").to_pylist()
        start = time.process_time()
        verdicts = [scorer(row) for row in rows]
        found[task] = {"cpu_s": time.process_time() - start, "verdicts": verdicts}
    (folder / f"{peer}.json").write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
