"""Data inside a page, for its script."""

import json
from html import escape

# What would end a script element or a line within one, as JSON may also write it.
_UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def data(name: str, content: object) -> str:
    """Data for the page's script, in an element that no text within can end. Raises ValueError for NaN."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'
