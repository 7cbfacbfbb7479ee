"""Random numbers come from what they are for."""

import subprocess
import sys

from nt_pkg.identity import seeds


def test_draws_are_fixed_forever() -> None:
    """Literal values: another one would silently redraw every subset."""
    assert seeds.digest_int("a", 1) == 9484037261928657086
    assert seeds.order_key(3, "x") == seeds.digest_int("order", 3, "x")
    assert seeds.rng("a", 1).random() == seeds.rng("a", 1).random()
    assert seeds.generator("a", 1).random() == seeds.generator("a", 1).random()


def test_draws_of_many_rows_are_those_of_each() -> None:
    ids = ["x", "", "\u00e9"]

    assert seeds.digest_ints(ids, "a", 1).tolist() == [seeds.digest_int("a", 1, i) for i in ids]
    assert seeds.order_keys(3, ids).tolist() == [seeds.order_key(3, i) for i in ids]


def test_parts_do_not_run_together() -> None:
    assert seeds.digest_int("ab", "c") != seeds.digest_int("a", "bc")
    assert seeds.digest_int("a", 1) != seeds.digest_int("a", 11)


def test_hash_randomisation_plays_no_part() -> None:
    code = "from nt_pkg.identity.seeds import rng; print(rng('a', ('b', 2)).random())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(outputs) == 1
