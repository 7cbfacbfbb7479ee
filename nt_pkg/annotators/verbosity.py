"""Verbosity of a reasoning: 7, as a model says, from 0 to 10 (paper, section 3.2)."""

from nt_pkg.annotators._ask_verbosity import ASK
from nt_pkg.annotators._asking import Asker

ANNOTATOR = Asker(ASK)
