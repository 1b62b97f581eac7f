"""What is said before the demo's acts, and after them: the record, the checks, and what to try next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from canary.cli.demo.app import APP
from canary.cli.demo.record import Check, Record
from canary.cli.demo.scene import short
from canary.cli.demo.show import Show
from canary.cli.demo.view import STATUS_STYLES
from canary.cli.text import plain
from canary.domain.audit import Row
from canary.domain.release import timestamp
from canary.domain.words import duration

_ARN: Final = "arn:aws:lambda:eu-west-1:000000000000:function"


def opening(show: Show) -> None:
    """Say what this is, and what there will be to see."""
    for line in (
        "A canary router stands before a pipeline; each version of that is a new stack.",
        "A new one gets two real requests, and serves everybody if both succeed.",
        "You will see a release that does, and one that fails and is thrown out.",
    ):
        show.tell(line, "bold")
    show.act(
        1,
        "Set up",
        "An AWS inside this machine (MiniStack); no account, no container. On it the",
        "router, from the very template.yaml that goes to AWS, and a pipeline.",
    )


def ending(show: Show, record: Record, results: Sequence[Check], seconds: float) -> None:
    """Show the record."""
    show.act(5, "The record", "Every request that went to a stack on trial is in the audit table:")
    show.tell("")
    show.give(audit_table(record.rows))
    show.tell("\nDid it go as promised?", "bold")
    for check in results:
        show.tell(f"  {'✓' if check.ok else '✗'} {check.words}", "green" if check.ok else "bold red")
    bad = sum(not check.ok for check in results)
    if bad:
        show.tell(f"\nNo: {bad} of {len(results)} checks failed. Please report this, with all of the above.", "bold red")
    show.tell("\nWhat to try next", "bold")
    for line in _next_steps():
        show.tell(f"  {line}".rstrip())
    show.tell(f"\nThis took {seconds:.0f} s. The embedded AWS has ended, and its files are removed.", "dim")


def audit_table(rows: Sequence[Row]) -> Table:
    """The audit table, as far as 80 columns go."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for name, width in (("request", 7), ("tag", 6), ("status", 9), ("UTC", 8), ("took", 4), ("error", 14)):
        table.add_column(name, width=width, no_wrap=True, overflow="ellipsis")
    table.add_column("state machine")
    for row in rows:
        table.add_row(
            short(row.request_id),
            plain(row.tag),
            Text(row.status.value, style=STATUS_STYLES[row.status]),
            timestamp(row.claimed_at)[11:19],
            duration(row.duration_ms) if row.duration_ms is not None else "",
            plain(row.error),
            Text((row.state_machine or "").rsplit(":", 1)[-1], no_wrap=True, overflow="ellipsis"),
        )
    return table


def _next_steps() -> Iterator[str]:
    """Commands that work as they stand, one after another, in the folder of the project."""
    yield 'export PATH="$PWD/.venv/bin:$PATH"'
    yield 'eval "$(canary local up)"   # an embedded AWS to keep; the AWS CLI uses it'
    yield "for tag in v1.0.0 v1.1.0; do .venv/sam/bin/sam deploy --resolve-s3 \\"
    yield "  --template-file examples/transformer/template.yaml \\"
    yield "  --stack-name transformer-${tag//./-} --parameter-overrides Version=$tag \\"
    yield "  --capabilities CAPABILITY_IAM; done"
    yield f"stack={_ARN}:{APP}"
    yield f"canary init {APP} --arn $stack-v1-0-0:live --tag v1.0.0"
    yield f"aws ssm put-parameter --name /canary/{APP}/latest --overwrite \\"
    yield "  --value $stack-v1-1-0:live   # seen within a minute; `canary release`: now"
    yield 'for i in {1..90}; do curl -sw "\\n" -H "x-api-key: $CANARY_API_KEY" -d "{}" \\'
    yield f"  $CANARY_ROUTER_URL/{APP}; sleep 1; done"
    yield f"canary status {APP} --watch"
    yield "canary local down"
    yield ""
    yield "README.md says how to put it on AWS, how to release, and how to operate it."
