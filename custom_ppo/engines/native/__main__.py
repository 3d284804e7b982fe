"""Print the state of the native engine for a bug report: python -m custom_ppo.engines.native.

Exit code 0 if the kernels are available and have autograd's bits, else 1.
"""

from __future__ import annotations

from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.engines.native.status import status_text

if __name__ == "__main__":
    print(status_text())  # noqa: T201
    raise SystemExit(0 if reason_against_loading() is None and all(self_check.results.values()) else 1)
