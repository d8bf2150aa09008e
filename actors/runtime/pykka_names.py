"""The names of pykka that begin with an underscore and that a runtime for it cannot do without.

Everything in the package that pykka does not promise is named in this file; `tests/actors/test_pykka_contract.py`
fails when one of them moves.
"""

from pykka._envelope import Envelope
from pykka.messages import _ActorStop as ActorStop

__all__ = ["ActorStop", "Envelope"]
