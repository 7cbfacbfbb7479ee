"""The name of a mean score: a recipe (student, subset, format) on one benchmark in one mode."""

RECIPE = ("student", "subset", "format", "benchmark", "mode")


def recipe_key(names: object) -> str:
    """Return the names of a mean score as one text.

    Args:
        names: what has them, as keys or as attributes.
    """
    found = names if isinstance(names, dict) else {key: getattr(names, key) for key in RECIPE}
    return "/".join(str(found[key]) for key in RECIPE)
