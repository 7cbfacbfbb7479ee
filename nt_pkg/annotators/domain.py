"""Domain of a question: "Medicine", as a model says (paper, section 3.2)."""

from nt_pkg.annotators._ask_domain import ASK
from nt_pkg.annotators._asking import Asker

ANNOTATOR = Asker(ASK)
