"""The HTML part of a letter as text, for tests that look at nothing else."""

from collections.abc import Mapping
from typing import Any

from campaign.compose.composer import Composer
from campaign.compose.html.shape_cache import Inlining


def rendered_html(composer: Composer, variables: Mapping[str, Any], inlining: Inlining = "shape") -> str:
    """What stands in the letter of a row with these variables."""
    shapes = composer.files.shapes
    assert shapes is not None
    return shapes.html(shapes.render(variables, inlining), inlining)
