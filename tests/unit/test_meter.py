"""Metrics in CloudWatch's embedded format: what the alarms and the dashboard look for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from canary.meter import Meter


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def dimension_sets(document: dict[str, Any]) -> list[list[str]]:
    (declared,) = document["_aws"]["CloudWatchMetrics"]
    assert declared["Namespace"] == "Canary"
    return declared["Dimensions"]


def test_a_metric_of_an_app_goes_out_for_the_service_and_for_the_service_and_app(capsys):
    meter = Meter("router")
    meter.count("RoutedToLatest", "transformer")
    meter.flush()
    (document,) = written(capsys)
    assert sorted(map(sorted, dimension_sets(document))) == [["app", "service"], ["service"]]
    assert (document["service"], document["app"], document["RoutedToLatest"]) == ("router", "transformer", [1.0])


def test_a_metric_of_no_app_goes_out_for_the_service_alone(capsys):
    meter = Meter("flipper")
    meter.count("FlipperPass", "")
    meter.flush()
    (document,) = written(capsys)
    assert (dimension_sets(document), document["service"], "app" in document) == ([["service"]], "flipper", False)


def test_what_is_counted_twice_is_written_once_with_its_sum_for_each_app(capsys):
    meter = Meter("router")
    for app, number in (("a", 1), ("b", 1), ("a", 2)):
        meter.count("FellBack", app, number)
    meter.count("Degraded", "a")
    meter.flush()
    assert {doc["app"]: (doc["FellBack"], doc.get("Degraded")) for doc in written(capsys)} == {
        "a": ([3.0], [1.0]),
        "b": ([1.0], None),
    }


def test_nothing_held_is_said_too_so_that_an_alarm_can_end(capsys):
    meter = Meter("flipper")
    meter.count("ReleaseHeld", "a", 0)
    meter.flush()
    assert [doc["ReleaseHeld"] for doc in written(capsys)] == [[0.0]]


def test_after_a_flush_counting_begins_anew_and_where_nothing_was_counted_nothing_is_written(capsys):
    meter = Meter("router")
    meter.count("FellBack", "a")
    meter.flush()
    written(capsys)
    meter.flush()
    assert written(capsys) == []


def test_what_is_told_of_an_app_stands_in_the_line_of_its_metrics_and_in_no_later_one(capsys):
    meter = Meter("router")
    for told in (True, False):
        meter.count("RoutedToLatest", "a")
        meter.count("RoutedToLatest", "b")
        if told:
            meter.tell("a", {"message": "routed", "because": "the coin"})
        meter.flush()
    assert [(doc["app"], doc.get("because")) for doc in written(capsys)] == [
        ("a", "the coin"),
        ("b", None),
        ("a", None),
        ("b", None),
    ]


def test_what_is_told_where_nothing_was_counted_is_written_all_the_same(capsys):
    meter = Meter("router")
    meter.tell("a", {"message": "routed", "app": "a"})
    meter.flush()
    assert written(capsys) == [{"service": "router", "message": "routed", "app": "a"}]


def test_a_fact_that_is_no_json_is_told_in_words_and_spoils_nothing_after_it(capsys):
    meter = Meter("router")
    for fact in (object, 1):
        meter.count("RoutedToLatest", "a")
        meter.tell("a", {"fact": fact})
        meter.flush()
    assert [doc["fact"] for doc in written(capsys)] == ["<class 'object'>", 1]
