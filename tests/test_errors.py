"""Errors name the place, the thing and the way out, and tell by their type what to do."""

from pathlib import Path

import pytest

from receiver.errors import AmendError, ConfigError, ConfigErrors, Permanent, Temporary


def test_a_config_error_reads_as_file_line_and_message() -> None:
    error = ConfigError("playbooks/web.yml", 14, 'unknown action "restrat"; did you mean "restart"?')
    assert str(error) == 'playbooks/web.yml:14: unknown action "restrat"; did you mean "restart"?'
    assert error.path == Path("playbooks/web.yml")


def test_a_config_error_without_a_line_names_the_file_alone() -> None:
    assert str(ConfigError(Path("amend.yml"), None, "is empty")) == "amend.yml: is empty"


def test_several_mistakes_read_one_a_line() -> None:
    errors = ConfigErrors(ConfigError("a.yml", line, "wrong") for line in (1, 2))
    assert str(errors) == "a.yml:1: wrong\na.yml:2: wrong"
    assert [error.line for error in errors.errors] == [1, 2]


def test_a_temporary_error_may_know_how_long_to_wait() -> None:
    assert Temporary("busy", delay=2.5).delay == 2.5
    assert Temporary("busy").delay is None


@pytest.mark.parametrize("kind", [ConfigErrors([]), ConfigError("a", 1, "b"), Temporary("a"), Permanent("a")])
def test_everything_that_amend_raises_on_purpose_has_one_root(kind: Exception) -> None:
    assert isinstance(kind, AmendError)
