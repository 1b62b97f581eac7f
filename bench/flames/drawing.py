"""A tree of stacks as an SVG picture: outside at the bottom, inside at the top, as wide as it is often found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from bench.flames.tree import Node

_WIDTH: Final = 1200
_ROW: Final = 16
_HEAD: Final = 30
#: Narrower frames cannot be seen.
_LEAST: Final = 4.0
_CHARACTER: Final = 6.2
#: Colours by whose code it is; the first whose beginning fits.
_COLOURS: Final = (
    (("canary.", "app:"), "#7fb77e"),
    (("aws_lambda_powertools", "aws_xray_sdk", "wrapt"), "#e8c468"),
    (("botocore", "boto3", "urllib3", "jmespath", "dateutil", "pynamodb"), "#e07a5f"),
)
_OTHER: Final = "#b8c0cc"


def drawn(tree: Node, title: str, scale: float) -> str:
    """Draw a tree, ``scale`` of the picture's width wide."""
    pixel = _WIDTH * scale / max(1, tree.count)
    height = _HEAD + _ROW * tree.depth(_LEAST / pixel) + 4
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="monospace" font-size="10">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="4" y="14" font-size="12">{escape(title)}</text>',
        '<text x="4" y="26" fill="#666">green: ours; yellow: Powertools, X-Ray; red: botocore; grey: Python</text>',
        *_frames(tree, 0.0, height - _ROW - 2, pixel),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _frames(node: Node, x: float, y: int, pixel: float) -> Iterator[str]:
    width = node.count * pixel
    if width < _LEAST:
        return
    module, _, function = node.name.rpartition(":")
    name = escape(f"{module}.{function}" if module else function)
    yield f'<g fill="{_colour(node.name)}"><title>{name}</title>'
    yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}"/>'
    if (fits := int(width / _CHARACTER) - 1) > 2:
        yield f'<text x="{x + 2:.1f}" y="{y + 11}" fill="#222">{escape(function[:fits])}</text>'
    yield "</g>"
    for each in sorted(node.below.values(), key=lambda each: -each.count):
        yield from _frames(each, x, y - _ROW, pixel)
        x += each.count * pixel


def _colour(name: str) -> str:
    return next((colour for beginnings, colour in _COLOURS if name.startswith(beginnings)), _OTHER)
