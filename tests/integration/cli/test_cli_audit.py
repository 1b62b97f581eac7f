"""`canary audit`."""

import csv
import io
import json

import pytest

from canary.domain.audit import Status


@pytest.fixture
def release(here):
    """A release with two requests on record; the one of a tenant with a foul name failed."""
    here.app(plan={"stages": [{"quota": 3}], "max_failures": 1})
    name = here.release()
    here.serve(name, Status.SUCCEEDED, tenant="acme")
    here.serve(name, Status.FAILED, tenant="=cmd|' /C calc'!A0", error="-boom")
    here.flip()
    return name


def test_the_newest_release_is_shown_as_a_table_with_durations_for_people(here, release):
    shown = here.canary("audit", "transformer")
    assert shown.exit_code == 0
    assert "SUCCEEDED" in shown.stdout
    assert "1 s" in shown.stdout
    assert "-boom" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_json_is_a_list_of_rows_as_they_stand_in_the_table(here, release):
    rows = here.json("audit", "transformer")
    assert [row["status"] for row in rows] == ["SUCCEEDED", "FAILED"]
    assert rows[0]["release_id"] == f"transformer#{release}"
    assert rows[0]["duration_ms"] == 1234
    assert rows[0]["tenant"] == "acme"
    assert "error" not in rows[0], "what is not known is absent"
    assert rows == json.loads(here.canary("audit", "transformer", "--format", "json").stdout)


def test_csv_has_a_header_and_nothing_that_a_spreadsheet_runs(here, release):
    text = here.canary("audit", "transformer", "--format", "csv").stdout
    good, bad = csv.DictReader(io.StringIO(text))
    assert good["duration_ms"] == "1234"
    assert good["tenant"] == "acme"
    assert bad["tenant"] == "'=cmd|' /C calc'!A0"
    assert bad["error"] == "'-boom"


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    [
        (("--status", "failed"), ["FAILED"]),
        (("--status", "FAILED", "--status", "SUCCEEDED"), ["SUCCEEDED", "FAILED"]),
        (("--tenant", "acme"), ["SUCCEEDED"]),
        (("--limit", "1"), ["SUCCEEDED"]),
        (("--since", "1h"), ["SUCCEEDED", "FAILED"]),
        (("--until", "1h"), []),
        (("--since", "2099-01-01"), []),
        (("--until", "2099-01-01T09:30:00Z"), ["SUCCEEDED", "FAILED"]),
    ],
)
def test_rows_are_chosen_by_status_tenant_and_time(here, release, arguments, statuses):
    assert [row["status"] for row in here.json("audit", "transformer", *arguments)] == statuses


def test_all_releases_come_in_the_order_of_time(here, release):
    other = here.release("v3")
    here.serve(other, Status.SUCCEEDED)
    assert [row["release_id"] for row in here.json("audit", "transformer")] == [f"transformer#{other}"]
    assert len(here.json("audit", "transformer", "--release", f"transformer#{release}")) == 2
    every = here.json("audit", "transformer", "--all")
    assert [row["release_id"].split("#")[1] for row in every] == [release, release, other]
    assert here.canary("audit", "transformer", "--all", "--release", release).exit_code == 2


def test_an_app_without_releases_has_nothing_on_record(here):
    here.app()
    refused = here.canary("audit", "transformer")
    assert refused.exit_code == 1
    assert "nothing on record" in refused.stderr
    name = here.release()
    done = here.canary("audit", "transformer")
    assert done.exit_code == 0
    assert f"no requests on record for release {name}" in done.stderr
    assert here.json("audit", "transformer") == []
