"""Presets: settings of a ``Run`` under one name, which any flag may override."""

from typing import Any

from pats import setups

PRESETS: dict[str, dict[str, Any]] = {
    name: dict(preset.settings) for name, preset in setups.presets().items()
}
