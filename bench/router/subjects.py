"""The routers that are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import botocore

ROOT: Final = Path(__file__).parents[2]
#: What botocore trusts when nobody says otherwise, and what the lean transport does.
MANY_ROOTS: Final = Path(botocore.__file__).with_name("cacert.pem")
FEW_ROOTS: Final = ROOT / "layers" / "canary" / "python" / "canary" / "wire" / "amazon_roots.pem"


@dataclass(frozen=True, slots=True)
class Subject:
    """A router.

    ``ready`` names what its module does before it can take a request; ``requires`` the distributions that it is deployed with
    (None: it is the router of this checkout, with its layers); ``roots`` what it trusts by itself.
    """

    name: str
    module: str
    requires: tuple[str, ...] | None = None
    ready: str = ""
    roots: Path = MANY_ROOTS
    environ: dict[str, str] = field(default_factory=dict)


NAIVE: Final = Subject("naive", "bench.baselines.naive", ("boto3",))
NAIVE_DECORATED: Final = Subject(
    "naive, decorated", "bench.baselines.naive_decorated", ("boto3", "pydantic", "aws-lambda-powertools[tracer]")
)
IDIOMATIC: Final = Subject("idiomatic", "bench.baselines.idiomatic", ("boto3", "pynamodb", "aws-lambda-powertools"))
IDIOMATIC_DECORATED: Final = Subject(
    "idiomatic, decorated", "bench.baselines.idiomatic_decorated", ("boto3", "pynamodb", "aws-lambda-powertools[tracer]")
)
FLOOR: Final = Subject("floor", "bench.baselines.floor", (), roots=FEW_ROOTS)
LEAN: Final = Subject("ours", "app", ready="desk", roots=FEW_ROOTS)
BOTOCORE: Final = Subject("ours on botocore", "app", ready="desk", environ={"CANARY_TRANSPORT": "botocore"})

BASELINES: Final = (NAIVE, NAIVE_DECORATED, IDIOMATIC, IDIOMATIC_DECORATED, FLOOR)


def ours() -> tuple[Subject, ...]:
    """Our routers: by the lean transport, where the checkout has it, and by botocore."""
    return (LEAN, BOTOCORE) if FEW_ROOTS.is_file() else (BOTOCORE,)
