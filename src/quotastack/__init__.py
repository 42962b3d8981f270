"""QuotaStack: credit billing that decides before the spend."""

from typing import Final

__version__: Final = "0.1.0"
