"""Which labels survive an expression, as Prometheus would have it."""

import pytest

from receiver.rulegen.expressions import labels_of, parse, speaks_alone


@pytest.mark.parametrize(
    ("expr", "kept", "lost"),
    [
        ("x", "a b", "__name__"),
        ("sum(x)", "", "a"),
        ("sum by (a) (x)", "a", "b"),
        ("sum without (b) (x)", "a c", "b"),
        ("sum by (a) (sum by (b) (x))", "", "a b"),
        ("topk by (a) (3, x)", "a b", "__name__"),
        ('count_values by (a) ("version", x)', "a version", "b"),
        ("histogram_quantile(0.9, sum by (le, a) (rate(x[5m])))", "a", "le"),
        ("histogram_quantile(0.9, rate(x[5m]))", "a b", "le"),
        ('label_replace(sum by (a) (x), "c", "$1", "a", "(.*)")', "a c", "b"),
        ("sum by (a) (x) / sum by (a) (y)", "a", "b"),
        ("x / sum by (a) (y)", "a", "b"),
        ("sum by (a, b) (x) / on (a) sum by (a) (y)", "a", "b"),
        ("sum by (a, b) (x) / on (a) group_left (c) sum by (a, c) (y)", "a b c", "d"),
        ("sum by (a) (x) * on (a) group_right () sum by (a, b) (y)", "a b", "c"),
        ("sum by (a, b) (x) / ignoring (b) sum by (a) (y)", "a", "b"),
        ("100 * sum by (a) (x)", "a", "b"),
        ("sum by (a) (x) > 3", "a", "b"),
        ("sum by (a) (x) and x", "a", "b"),
        ("-(sum by (a) (x))", "a", "b"),
        ("max_over_time(sum by (a) (x)[1h:5m])", "a", "b"),
        ("vector(1)", "", "a"),
        ("clamp_min(sum by (a) (x), 3)", "a", "b"),
        ("quantile_over_time(0.9, x[5m])", "a b", "__name__"),
    ],
)
def test_labels_survive_as_in_prometheus(expr: str, kept: str, lost: str) -> None:
    labels = labels_of(parse(expr))
    assert [name for name in kept.split() if name not in labels] == []
    assert [name for name in lost.split() if name in labels] == []


@pytest.mark.parametrize(
    ("expr", "alone"),
    [
        ("x", False),
        ("sum(x) or vector(0)", True),
        ("sum(x) + vector(0)", False),
        ("absent(x)", True),
        ("x unless vector(1)", False),
        ("vector(1) and x", False),
        ("sum(rate(x[5m])) * 100", False),
        ("vector(time())", True),
        ('label_replace(x, "a", "b", "", "")', False),
    ],
)
def test_an_expression_that_needs_no_metrics_is_known(expr: str, *, alone: bool) -> None:
    assert speaks_alone(parse(expr)) is alone
