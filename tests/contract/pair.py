"""Every assertion of tests/contract is made twice: on a twin in memory, and on the real engine (marker `engines`)."""

from __future__ import annotations

import pytest

TWIN, REAL = "twin", "real"
BOTH = [TWIN, pytest.param(REAL, marks=pytest.mark.engines)]
