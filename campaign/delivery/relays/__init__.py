"""Which servers take the letters: presets, order and weights, fail-over."""
