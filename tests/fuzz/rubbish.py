"""Whatever may come in from outside: JSON of any kind and size, what only looks like it, targets and plans that are nearly right.

`CANARY_FUZZ=50 make test ARGS=tests/fuzz` tries fifty times as many, and others in every run.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from tests.fakes.scene import ACCOUNT, REGION, arn, machine
from tests.plan_strategies import written_plans
from tests.strategies import NO_SHRINKING

FACTOR: Final = int(os.environ.get("CANARY_FUZZ", "1"))


def tries(number: int) -> settings:
    """How many examples a test tries: the same ones in every run, unless more are asked for."""
    return settings(max_examples=number * FACTOR, derandomize=FACTOR == 1, print_blob=FACTOR > 1)


def tries_on_the_stack(number: int) -> settings:
    """As `tries`, where an example takes a tenth of a second and more: the first one that fails has to do."""
    return settings(tries(number), phases=NO_SHRINKING)


#: Any text, half of a surrogate pair too: JSON can say it (``"\ud800"``), UTF-8 cannot.
words = st.text(st.characters(), max_size=30) | st.sampled_from(
    ["", " ", "\ud800", "\x00", "\x1b[2J", "\n", "\u202e", "ﷺ" * 50, "x" * 3_000, "9" * 5_000, "NONE", "-", "null", "٣", "²"]
)
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 10**400, 10**4_000, 5e-324, 1.7e308, float("nan"), float("inf"), float("-inf")])
)
#: The keys that some reader looks for.
keys = st.sampled_from(
    [
        "arn", "tag", "commit", "by", "statusCode", "body", "executionArn", "execution_arn", "transformId", "transform_id",
        "errorType",
        "errorMessage", "app", "detail", "name", "source", "detail-type", "Records", "resources", "stages", "quota", "weight",
        "preset",
    ]
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | words, inner, max_size=5),
    max_leaves=12,
)


def nested(inner: str, depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + inner + closing * depth


@st.composite
def twice(draw: st.DrawFn) -> str:
    """An object in which a key stands twice."""
    key = draw(keys)
    return "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(draw(values))}" for _ in range(2)) + "}"


#: Texts that are JSON, nearly JSON, or nothing of the kind.
texts = st.one_of(
    values.map(json.dumps),
    values.map(lambda value: json.dumps(value, ensure_ascii=False)),
    twice(),
    words,
    st.text('{}[]",:0123456789.eE-+ntfNI\\u', max_size=60),
    st.builds(nested, st.sampled_from(["", "1", "{}", '"x"']), st.integers(1, 3_000)),
    st.builds(nested, st.just("1"), st.integers(1, 3_000), st.just('{"body":'), st.just("}")),
    st.sampled_from(["9" * 5_000, "1e999", "-1e999", "[NaN]", '{"a": Infinity}', "\ufeff{}", "{} {}", "{'a': 1}", '"\\ud800"',
    "[" * 100_000]),
)  # fmt: skip

#: Values that name a target, are blank, or do neither; SSM itself takes any text of 1 to 8,192 characters that UTF-8 can say.
_others = ["123456789013", "1" * 13, "", "x"]
targets = st.one_of(
    st.sampled_from([arn("v1"), arn("v2"), arn("v3"), machine("v1"), machine("v2"), "NONE", "-", " ", "\n\t"]),
    st.builds(
        lambda region, account, name: f"arn:aws:lambda:{region}:{account}:function:{name}",
        st.sampled_from([REGION, "us-east-1", "", "x" * 300]),
        st.sampled_from([ACCOUNT, *_others]),
        st.sampled_from(["transformer-v2", "transformer-v2:live", "other", "transformer-v2:a:b", "transformer-v2:$LATEST",
        "x" * 65])
        | words,
    ),
    st.sampled_from([arn("v2").upper(), arn("v2") + "\n", " " + machine("v2") + " ", machine("v2").replace("stateMachine",
    "activity")]),
)  # fmt: skip
pointers = st.fixed_dictionaries({"arn": targets | values}, optional={"tag": values, "commit": values, "by": values, "x": values})
parameters = st.one_of(
    targets, pointers.map(json.dumps), pointers.map(lambda p: json.dumps(p, ensure_ascii=False)), texts
).filter(lambda text: 0 < len(text) <= 8_192 and _utf8(text))
plans = st.one_of(
    written_plans().map(lambda written: json.dumps(written[1])),
    st.dictionaries(keys, values, max_size=4).map(json.dumps),
    texts,
).filter(lambda text: 0 < len(text) <= 8_192 and _utf8(text))


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


#: Expressions that find nothing, find odd things, cannot be read, or cannot be asked of what is there.
expressions = (
    st.sampled_from(
        [
            "@", "a", "*", "[]", "[*].a", "a[::0]", "a[99999999999999999999]", "body", "result.executionArn", "length(@)",
            "max_by(@, &a)",
            "min_by(@, &a)", "sort_by(@, &a)", "sum(@)", "avg(@)", "abs(@)", "ceil(@)", "floor(@)", "to_string(@)",
            "to_number(@)", "keys(@)",
            "join('', @)", "reverse(@)", "merge(@, @)", "not_null(@)", "type(@)", "nobody(@)", "a.b(", "'x'", "`1`",
            '"\\ud800"', "(" * 2_000,
            "!" * 3_000 + "a", "a" + "|a" * 1_500, "[" * 1_300, "a" + "[0]" * 1_300, "a" + "||a" * 1_300,
        ]
    )
    | st.text('abc.[]*@&|!?()`"\'{}:,0123456789-', min_size=1, max_size=20)
)  # fmt: skip


def strict(text: str) -> Any:
    """Read JSON as others do, who know neither NaN nor Infinity."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
