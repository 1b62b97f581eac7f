"""Pages with parts that a command writes: each stands between two markers of its name."""

from __future__ import annotations

from pathlib import Path


def renew(page: Path, name: str, text: str) -> None:
    """Write a part anew; all else stays as it is."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"{page.name} has lost its markers {begin.strip()} and {end}")
    page.write_text(f"{before}{begin}{text.strip()}\n{end}{after}")
