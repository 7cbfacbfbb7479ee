"""What changed between two reports, in one sentence."""

from nt_pkg.report.changes.records import NOT_ASKED, Changes
from nt_pkg.report.wording import show_list, show_plural

_MOST_NAMED = 3  # verdicts that the headline spells out


def say_changes(changes: Changes) -> str:
    """Return what changed in one sentence."""
    parts = [_say_scores(changes), _say_verdicts(changes), _say_picks(changes)]
    for change in ("added", "removed"):
        number = sum(each.num_scores for each in changes.runs if each.change == change)
        parts.append(f"{show_plural(number, 'score')} {change}" if number else "")
    return f"Since the earlier report ({changes.earlier}): {'; '.join(filter(None, parts))}."


def _say_scores(changes: Changes) -> str:
    if not changes.num_changed:
        return f"none of {show_plural(changes.num_scores, 'score')} changed"
    text = f"{changes.num_changed:,} of {show_plural(changes.num_scores, 'score')} changed"
    beyond = sum(each.verdict in ("above", "below") for each in changes.scores)
    told = f"{beyond or 'none'} by more than chance"
    if all(each.p_value is None for each in changes.scores):
        told = "too few questions to tell it from chance"
    many = f"{len(changes.scores):,} of {show_plural(changes.num_averages, 'average')} over seeds, "
    has_seeds = changes.num_averages < changes.num_scores
    return f"{text} ({many if has_seeds else ''}{told})"


def _say_verdicts(changes: Changes) -> str:
    other = [each for each in changes.verdicts if NOT_ASKED not in (each.before, each.now)]
    if not changes.num_verdicts:
        return ""
    if not other:
        moved = f", {changes.num_moved:,} with another difference" if changes.num_moved else ""
        return f"none of {show_plural(changes.num_verdicts, 'verdict')}{moved}"
    named = [f"{each.title} from {each.before} to {each.now}" for each in other[:_MOST_NAMED]]
    more = len(other) - len(named)
    named += [f"{more:,} more"] if more else []
    return f"{len(other):,} of {show_plural(changes.num_verdicts, 'verdict')}: {show_list(named)}"


def _say_picks(changes: Changes) -> str:
    other = [each for each in changes.origins if each.stage == "subsets" and each.number]
    if not other:
        return ""
    return f"{len(other):,} of {show_plural(changes.num_subsets, 'subset')} picked other rows"
