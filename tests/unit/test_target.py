"""Targets and the values that carry them."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canary.domain.target import (
    Allowed,
    InvalidTarget,
    TargetKind,
    execution_arn,
    is_blank,
    is_execution,
    parse_pointer,
    parse_target,
    printable,
    state_machine_of,
)

ACCOUNT, REGION = "123456789012", "eu-west-1"
partitions = st.sampled_from(["aws", "aws-cn", "aws-us-gov"])
regions = st.from_regex(r"[a-z]{2}-[a-z]{4,9}-[0-9]", fullmatch=True)
accounts = st.from_regex(r"[0-9]{12}", fullmatch=True)
function_names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
machine_names = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)
execution_names = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)


def arn(name: str = "transformer-v2", account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:lambda:{region}:{account}:function:{name}:live"


@given(partitions, regions, accounts, function_names, st.none() | st.just("$LATEST") | function_names)
def test_a_functions_arn_is_taken_apart_and_nothing_is_lost(partition, region, account, name, qualifier):
    bare = f"arn:{partition}:lambda:{region}:{account}:function:{name}"
    target = parse_target(bare + (f":{qualifier}" if qualifier else ""))
    assert (target.kind, target.region, target.account, target.name, target.qualifier) == (
        TargetKind.LAMBDA, region, account, name, qualifier,
    )  # fmt: skip
    assert (target.unqualified_arn, target.mutable) == (bare, qualifier in {None, "$LATEST"})


@given(partitions, regions, accounts, machine_names, st.none() | st.from_regex(r"[A-Za-z0-9_.-]{1,80}", fullmatch=True))
def test_a_state_machines_arn_is_taken_apart_and_nothing_is_lost(partition, region, account, name, qualifier):
    bare = f"arn:{partition}:states:{region}:{account}:stateMachine:{name}"
    target = parse_target(bare + (f":{qualifier}" if qualifier else ""))
    assert (target.kind, target.name, target.qualifier) == (TargetKind.STATE_MACHINE, name, qualifier)
    assert (target.unqualified_arn, target.mutable) == (bare, False)


@given(partitions, regions, accounts, machine_names, st.none() | machine_names, execution_names)
def test_an_execution_and_its_state_machine_name_each_other(partition, region, account, name, qualifier, execution):
    bare = f"arn:{partition}:states:{region}:{account}:stateMachine:{name}"
    made = execution_arn(bare + (f":{qualifier}" if qualifier else ""), execution)
    assert (is_execution(made), state_machine_of(made)) == (True, bare)
    assert made.endswith(f":{name}:{execution}")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "arn:aws:lambda:eu-west-1:1:function:f", arn() + "\n", f" {arn()}", "arn:aws:s3:::bucket", arn() + ":extra",
        f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m:e", f"arn:aws:states:{REGION}:{ACCOUNT}:express:m:e:1",
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{'x' * 65}", f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l:1",
    ],
)  # fmt: skip
def test_what_is_no_target_is_refused_with_what_to_write(text):
    with pytest.raises(InvalidTarget, match="expected arn:aws:lambda"):
        parse_target(text)


@pytest.mark.parametrize(
    "text", [arn(), "", f"arn:aws:states:{REGION}:{ACCOUNT}:express:m:e:run", f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m"]
)
def test_only_a_standard_execution_can_be_followed(text):
    assert not is_execution(text)
    with pytest.raises(InvalidTarget):
        state_machine_of(text)


class TestAllowed:
    @given(st.text("ab*?-[]!", max_size=6), st.text("ab-", min_size=1, max_size=6))
    def test_a_pattern_means_what_it_means_in_iam(self, pattern, name):
        """Only * and ? are special, and a whole name has to match."""
        as_iam = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
        refusal = Allowed(pattern, ACCOUNT, REGION).refusal(parse_target(arn(name)))
        assert (refusal is None) == (re.fullmatch(as_iam, name) is not None)

    @pytest.mark.parametrize("pattern", ["transformer-[v]2", "[a-z]*", "transformer-[!x]2"])
    def test_brackets_are_no_classes_of_characters(self, pattern):
        assert Allowed(pattern, ACCOUNT, REGION).refusal(parse_target(arn("transformer-v2")))

    def test_capitals_are_others(self):
        assert Allowed("transformer-*", ACCOUNT, REGION).refusal(parse_target(arn("Transformer-v1")))

    @given(accounts)
    def test_another_account_is_refused_whatever_the_name(self, account):
        assume(account != ACCOUNT)
        assert "only account" in (Allowed("*", ACCOUNT, REGION).refusal(parse_target(arn(account=account))) or "")

    @given(regions)
    def test_another_region_is_refused_whatever_the_name(self, region):
        assume(region != REGION)
        assert "only region" in (Allowed("*", ACCOUNT, REGION).refusal(parse_target(arn(region=region))) or "")


class TestPointers:
    @pytest.mark.parametrize("value", [None, "", " ", "-", " - ", "NONE", "\tNONE\n"])
    def test_a_blank_is_blank(self, value):
        assert is_blank(value)

    @pytest.mark.parametrize("value", ["none", "None", "--", "{}", arn()])
    def test_nothing_else_is(self, value):
        assert not is_blank(value)

    @pytest.mark.parametrize(
        ("value", "tag"), [(arn(), "live"), (arn().removesuffix(":live"), "transformer-v2"), (f" {arn()}\n", "live")]
    )
    def test_a_bare_arn_is_called_by_its_qualifier_or_its_name(self, value, tag):
        pointer = parse_pointer(value)
        assert (pointer.value, pointer.tag, pointer.commit, pointer.by) == (value, tag, None, None)

    @given(st.fixed_dictionaries({"arn": st.just(arn())}, optional=dict.fromkeys(("tag", "commit", "by"), st.text(max_size=50))))
    def test_json_says_more(self, document):
        pointer = parse_pointer(json.dumps(document))
        assert pointer.target == parse_target(arn())
        assert pointer.tag == (printable(document.get("tag", "").strip()) or "live")
        assert (pointer.commit, pointer.by) == tuple(
            printable(document[key].strip()) if key in document else None for key in ("commit", "by")
        )

    def test_words_can_be_shown_and_sent_whatever_is_in_them(self):
        document = {"arn": arn(), "tag": "v1\x1b[2J", "by": "\ud800", "commit": "grün\n!"}
        pointer = parse_pointer(json.dumps(document))
        assert (pointer.tag, pointer.by, pointer.commit) == ("v1?[2J", "?", "grün?!")

    @pytest.mark.parametrize(
        "value",
        ["{", "{}", '{"arn": null}', '{"arn": 7}', '{"arn": "x"}', f'{{"arn": "{arn()}", "tag": 5}}', '{"arn": ' + "[" * 4000,
         f'{{"arn": "{arn()}", "by": "{"x" * 2049}"}}', "[]", "null", "nonsense"],
    )  # fmt: skip
    def test_a_value_that_names_no_target_is_refused(self, value):
        with pytest.raises(InvalidTarget):
            parse_pointer(value)

    @given(st.text(max_size=60))
    def test_no_value_does_worse_than_be_refused(self, value):
        with contextlib.suppress(InvalidTarget):
            parse_pointer(value)
