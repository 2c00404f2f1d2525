"""What an expression rests on is read from its syntax tree, in whatever shape it is written."""

from datetime import UTC, datetime

import pytest

from receiver.evidence import Comparison, Sources, comparisons, frozen, holds, sources, watched
from receiver.prometheus import Rule, Sample

AT = datetime(2026, 3, 2, tzinfo=UTC)
STAMP = f"@ {AT.timestamp():.3f}"


def recording(name: str, expr: str, **labels: str) -> Rule:
    return Rule(kind="recording", name=name, expr=expr, labels=labels, interval=1)


def flat(text: str | None) -> str | None:
    """PromQL on one line."""
    return None if text is None else " ".join(text.split()).replace("( ", "(").replace(" )", ")")


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("x > 5", [Comparison("x > 5", "x", None)]),
        ("(x > 5)", [Comparison("x > 5", "x", None)]),
        ("5 < x", [Comparison("5 < x", "x", None)]),
        ("-1 > x", [Comparison("-1 > x", "x", None)]),
        ("x > y", [Comparison("x > y", "x", "y")]),
        ("x > 5 and y > 1", [Comparison("x > 5", "x", None)]),
        ("x and y > 1", [Comparison("y > 1", "y", None)]),
        ("x > 5 unless y == 1", [Comparison("x > 5", "x", None)]),
        ("x > 5 or y < 1", [Comparison("x > 5", "x", None), Comparison("y < 1", "y", None)]),
        ("(x > 5 or y < 1) and z", [Comparison("x > 5", "x", None), Comparison("y < 1", "y", None)]),
        ("x == bool 1", []),
        ("(x > bool 1) == 1", [Comparison("(x > bool 1) == 1", "(x > bool 1)", None)]),
        ("count(up == 0) > 2", [Comparison("count(up == 0) > 2", "count(up)", None)]),
        ("max by (job) (x > 5)", [Comparison("max by (job) (x > 5)", "max by (job) (x)", None)]),
        ("absent(x)", [Comparison("absent(x)", "count(x)", None)]),
        ("absent_over_time(x[5m])", [Comparison("absent_over_time(x[5m])", "count(x)", None)]),
        ("absent(x) == 1", [Comparison("absent(x) == 1", "count(x)", None)]),
        ("vector(1)", []),
        ("x > 5 or vector(1)", []),
        ("x unless y", []),
    ],
)
def test_an_expression_is_false_when_all_that_it_compares_is_false(expr: str, expected: list[Comparison]) -> None:
    assert list(comparisons(expr)) == expected


@pytest.mark.parametrize(
    ("expr", "values", "answer"),
    [
        ("x == 0", [0], True),
        ("x == 0", [], False),
        ("x == 0", [float("nan")], False),
        ("x == 0 or y == 0", [0], True),
        ("x and y == 0", [0], True),
        ("x == 0 unless y", [0], True),
        ("x", [0], False),
        ("x", [0, 1], True),
        ("x == bool 0", [0], False),
        ("count(x == 0) - 3", [0], False),
    ],
)
def test_an_answer_means_yes_when_it_passed_a_filter_or_is_not_zero(
    expr: str, values: list[float], *, answer: bool
) -> None:
    assert holds([Sample({}, value) for value in values], expr) is answer


def test_what_must_have_samples_for_an_empty_answer_to_mean_no() -> None:
    assert watched("x > 5 or y > 5") == ["x", "y"]
    assert watched("x") == ["x"]


# ── scraped series ──


def test_scraped_series_are_found_through_recording_rules() -> None:
    rules = [recording("job:x:rate", "rate(x_total[5m])"), recording("job:z", "job:x:rate offset 1h", level="a")]
    assert sources("job:z > 5", rules) == "x_total{}"
    assert sources('job:z{level="b"} > 5', rules) == 'job:z{level="b"}'


def test_of_what_or_joins_any_side_will_do_and_of_the_rest_all() -> None:
    assert sources("a / b", []) == Sources(frozenset({"a{}", "b{}"}))
    assert sources("a or b", []) == Sources(frozenset({"a{}", "b{}"}), any=True)
    assert sources("a or vector(0)", []) == "a{}"
    assert sources("a unless b", []) == "a{}"
    assert sources('absent(a) or b{c=~"d\\"e"}', []) == 'b{c=~"d\\"e"}'


def test_a_series_that_is_recorded_from_its_own_past_comes_to_an_end() -> None:
    rules = [
        recording("mean", "avg_over_time(learned[1d])"),
        recording("learned", "(x < mean) or x"),
        recording("z", "x - mean"),
    ]
    assert sources("z > 3", rules) == "x{}"


# ── baselines ──


@pytest.mark.parametrize(
    ("expr", "then"),
    [
        ("x > 5", None),
        ("rate(x[5m]) > 5", None),
        ("rate(x[5m]) / rate(y[5m]) > 0.1", None),
        ("x > avg_over_time(x[1h])", f"x > avg_over_time(x[1h] {STAMP})"),
        ("avg_over_time(x[1h]) < x", f"avg_over_time(x[1h] {STAMP}) < x"),
        ("rate(x[5m]) > 2 * rate(x[1d])", f"rate(x[5m]) > 2 * rate(x[1d] {STAMP})"),
        ("x > 2 * x offset 1w", f"x > 2 * x {STAMP} offset 1w"),
        ("rate(x[5m]) > rate(x[5m] offset 1d)", f"rate(x[5m]) > rate(x[5m] {STAMP} offset 1d)"),
        ("x > max_over_time(avg(x)[1h:1m])", f"x > max_over_time(avg(x)[1h:1m] {STAMP})"),
        ("x > avg_over_time(x[1h] @ 5)", "x > avg_over_time(x[1h] @ 5.000)"),
    ],
)
def test_what_looks_further_back_than_the_rest_is_a_baseline(expr: str, then: str | None) -> None:
    assert flat(frozen(expr, AT, [])) == then


def test_a_recorded_baseline_is_one() -> None:
    rules = [recording("job:x:mean1d", "avg_over_time(x[1d])")]
    assert flat(frozen("x > 2 * job:x:mean1d", AT, rules)) == f"x > 2 * (avg_over_time(x[1d] {STAMP}))"
    # which of its series is meant cannot be said in the rule's own expression
    assert flat(frozen('x > 2 * job:x:mean1d{job="a"}', AT, rules)) == f'x > 2 * job:x:mean1d{{job="a"}} {STAMP}'


def test_a_recorded_z_score_is_opened_to_find_its_baseline_and_keeps_its_labels() -> None:
    rules = [recording("z", "(x - avg_over_time(x[1d])) / 2", level='a$"b')]
    opened = f'label_replace(((x - avg_over_time(x[1d] {STAMP})) / 2), "level", "a$$\\"b", "", "")'
    assert flat(frozen("z > 3", AT, rules)) == f"{opened} > 3"


def test_a_recorded_value_of_the_same_reach_is_no_baseline() -> None:
    rules = [recording("job:x:rate5m", "rate(x[5m])"), recording("job:y:rate5m", "rate(y[5m])")]
    assert frozen('job:x:rate5m{job="a"} / job:y:rate5m{job="a"} > 0.1', AT, rules) is None


def test_a_recorded_series_that_reads_itself_comes_to_an_end() -> None:
    rules = [recording("mean", "0.9 * mean + 0.1 * x")]
    assert frozen("x > 2 * mean", AT, rules) is None
