"""amend.yml as people write it: variables, secrets in files, sizes and names; every mistake names its line."""

from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.settings import Settings, digest, playbook_files, read
from receiver.settings.auth import ROLES

HASH = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
SECRETS = ("token", "slack", "hook", "hook_token", "audit", "pager", "teams", "others", "mail", "signing")
MINIMAL = "auth: {webhook: {insecure: true}}\n"


def settings(directory: Path, text: str) -> Settings:
    (directory / "amend.yml").write_text(text)
    return read(directory / "amend.yml")


def mistakes(directory: Path, text: str) -> list[str]:
    """`LINE: MESSAGE` of each."""
    with pytest.raises(ConfigErrors) as raised:
        settings(directory, text)
    return [f"{error.line}: {error.message}" for error in raised.value.errors]


def test_little_is_enough_and_the_rest_has_safe_defaults(tmp_path: Path) -> None:
    found = settings(tmp_path, MINIMAL)
    assert (found.server.host, found.server.port) == ("127.0.0.1", 9095)
    assert found.server.max_body == 32 * 1024**2
    assert found.store.url.get_secret_value() == "sqlite:///amend.db"
    assert found.outbound.allow_hosts == ()
    assert not found.platforms.docker
    assert not found.platforms.kubernetes
    assert found.limits.actions_per_minute == 10


def test_a_docker_host_allows_only_what_opts_in(tmp_path: Path) -> None:
    (docker,) = settings(tmp_path, f"{MINIMAL}platforms: {{docker: [{{}}]}}").platforms.docker
    assert docker.allow == ("amend.enable=true",)


def test_a_cluster_needs_namespaces(tmp_path: Path) -> None:
    for namespaces in ("", ", namespaces: []"):
        (mistake,) = mistakes(tmp_path, f"{MINIMAL}platforms:\n  kubernetes:\n  - {{name: a{namespaces}}}\n")
        assert mistake.startswith("4: ")
        assert "namespaces" in mistake


@pytest.mark.parametrize(
    "webhook",
    [
        "{}",
        "{insecure: false}",
        "{bearer_token: a, insecure: true}",
        "{bearer_token: a, basic: {username: u, password: p}}",
    ],
)
def test_the_webhook_has_exactly_one_way_to_authenticate(webhook: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, f"auth:\n  webhook: {webhook}\n")
    assert "needs exactly one of bearer_token_file, basic or (said aloud) insecure: true" in mistake
    assert mistake.startswith("2: ")


@pytest.mark.parametrize(("listen", "host", "port"), [("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:9095", "::1", 9095)])
def test_an_address_has_a_host_and_a_port(listen: str, host: str, port: int, tmp_path: Path) -> None:
    server = settings(tmp_path, f"{MINIMAL}server: {{listen: '{listen}'}}").server
    assert (server.host, server.port) == (host, port)


@pytest.mark.parametrize("listen", ["localhost", ":9095", "a:b", "a:65536", "a:-1"])
def test_what_is_no_address_is_refused(listen: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, f"{MINIMAL}server:\n  listen: '{listen}'\n")
    assert mistake == f'3: "{listen}" is not an address; write HOST:PORT, for example 127.0.0.1:9095'


@pytest.mark.parametrize(("text", "size"), [("100", 100), ("4KiB", 4096), ("1MiB", 1024**2), ("1GiB", 1024**3)])
def test_a_size_has_a_unit_or_is_bytes(text: str, size: int, tmp_path: Path) -> None:
    assert settings(tmp_path, f"{MINIMAL}server: {{max_body: {text}}}").server.max_body == size


@pytest.mark.parametrize("text", ["4KB", "-1", "0", "1.5MiB", "much"])
def test_what_is_no_size_is_refused(text: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, f"{MINIMAL}server: {{max_body: {text}}}")
    assert mistake.startswith("2: ")


# ── variables ──


def test_variables_come_from_the_environment_or_their_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMEND_TEST_PORT", "80")
    monkeypatch.delenv("AMEND_TEST_HOST", raising=False)
    text = f"{MINIMAL}server:\n  listen: ${{AMEND_TEST_HOST:0.0.0.0}}:${{AMEND_TEST_PORT}}\n"
    assert settings(tmp_path, text).server.listen == "0.0.0.0:80"
    empty = f'{MINIMAL}server:\n  external_url: "${{AMEND_TEST_HOST:}}"\n'
    assert settings(tmp_path, empty).server.external_url == ""


def test_variables_that_are_not_set_are_all_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMEND_TEST_A", raising=False)
    monkeypatch.delenv("AMEND_TEST_B", raising=False)
    text = f"{MINIMAL}server:\n  external_url: ${{AMEND_TEST_A}}/${{AMEND_TEST_B}}\nplaybooks:\n- ${{AMEND_TEST_A}}\n"
    assert [mistake.partition(";")[0] for mistake in mistakes(tmp_path, text)] == [
        "3: the environment has no AMEND_TEST_A",
        "3: the environment has no AMEND_TEST_B",
        "5: the environment has no AMEND_TEST_A",
    ]


def test_what_a_variable_holds_is_text_and_never_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMEND_TEST_A", "x, insecure: true}")
    found = settings(tmp_path, 'auth: {webhook: {bearer_token: "${AMEND_TEST_A}"}}')
    assert not found.auth.webhook.insecure


# ── secrets ──


def test_a_secret_stands_in_a_file_beside_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("s3cret\n")
    monkeypatch.chdir("/")
    webhook = settings(tmp_path, "auth: {webhook: {bearer_token_file: secrets/token}}").auth.webhook
    assert webhook.bearer_token
    assert webhook.bearer_token.get_secret_value() == "s3cret"


def test_no_secret_shows_when_settings_are_printed(tmp_path: Path) -> None:
    secrets = {name: f"http://canary-{name}" for name in SECRETS}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    text = """\
auth: {webhook: {bearer_token_file: token}}
receivers:
- {name: a, slack: {url_file: slack}}
- {name: b, webhook: {url_file: hook, bearer_token_file: hook_token}}
- {name: c, pagerduty: {routing_key_file: pager}, teams: {url_file: teams}, apprise: {url_file: others}}
- name: d
  email: {host: "mail:25", from: a@b.c, to: [a@b.c], username: u, password_file: mail}
slack: {signing_secret_file: signing}
audit: {hmac_key_file: audit}
"""
    found = settings(tmp_path, text)
    assert "canary" not in f"{found!r} {found} {found.model_dump_json()}"


def test_secrets_that_cannot_be_read_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    text = """\
auth:
  webhook: {bearer_token_file: nowhere}
  api_keys:
  - {name: a, role: viewer, hash_file: .}
receivers:
- {name: a, slack: {url_file: empty}}
audit: {hmac_key_file: binary}
"""
    found = mistakes(tmp_path, text)
    assert [mistake.partition(":")[0] for mistake in found] == ["2", "4", "6", "7"]
    told = ("No such file or directory", "Is a directory", "is empty", "not text")
    assert all(why in mistake for why, mistake in zip(told, found, strict=True))


NO_HASH = 'hash: is no hash of a key (64 hexadecimal digits); "amend keys new" makes a key and its hash'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "auth:\n  webhook:\n    basic:\n      username: am\n",
            '3: "password" is missing; write for example password: SECRET, or password_file: FILE',
        ),
        (
            "auth:\n  webhook:\n    bearer_token: ''\n",
            "3: bearer_token: is empty; put the secret into a file and name it: bearer_token_file: FILE",
        ),
        (
            "auth:\n  webhook: {insecure: true}\n  api_keys:\n  - {name: a, role: viewer}\n",
            '4: "hash" is missing; write for example hash: HASH, or hash_file: FILE, as amend keys new prints them',
        ),
        (
            f"auth:\n  webhook: {{insecure: true}}\n  api_keys:\n  - {{name: a, role: viewer, hash: {HASH[1:]}}}\n",
            NO_HASH,
        ),
        ("auth:\n  webhook: {insecure: true}\n  api_keys:\n  - {name: a, role: viewer, hash: the-key}\n", NO_HASH),
        (
            f"{MINIMAL}receivers:\n- name: a\n  slack: {{}}\n",
            '4: "url" is missing; write for example url: URL, or url_file: FILE',
        ),
        (
            f"{MINIMAL}receivers:\n- name: a\n  webhook: {{}}\n",
            '4: "url" is missing; write for example url: URL, or url_file: FILE',
        ),
        (
            f"{MINIMAL}receivers:\n- name: a\n  slack: {{url: hooks.slack.com/services/T0}}\n",
            "4: url: is no address; it begins with https:// or http://",
        ),
        (
            f"{MINIMAL}audit:\n  hmac_key: ' '\n",
            "3: hmac_key: is empty; put the secret into a file and name it: hmac_key_file: FILE",
        ),
    ],
)
def test_what_needs_a_secret_is_refused_without_one(text: str, expected: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, text)
    assert mistake == (f"4: {expected}" if expected == NO_HASH else expected)


def test_a_hash_may_be_written_in_capitals(tmp_path: Path) -> None:
    text = f"auth: {{webhook: {{insecure: true}}, api_keys: [{{name: a, role: viewer, hash: {HASH.upper()}}}]}}"
    assert settings(tmp_path, text).auth.api_keys[0].hash == HASH


@pytest.mark.parametrize("server", ["prometheus", "alertmanager"])
@pytest.mark.parametrize("url", ["http://me:s3cret@127.0.0.1:9090/", "http://s3cret@a:port/", "//s3cret@a"])
def test_an_address_that_is_shown_holds_no_credentials(server: str, url: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, f"{MINIMAL}{server}:\n  url: {url}\n")
    assert mistake.startswith("3: url: holds a user or a password, which errors and logs would show; write it without")
    assert "s3cret" not in mistake


# ── names ──


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("receivers:\n- {name: a, slack: {url: http://x}}\n- {name: a, slack: {url: http://y}}\n", "receiver"),
        ("platforms: {docker: [{}, {}]}\n", "Docker host"),
        ("platforms:\n  kubernetes: [{namespaces: [a]}, {namespaces: [a]}]\n", "Kubernetes cluster"),
    ],
)
def test_two_of_a_kind_have_two_names(text: str, what: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, MINIMAL + text)
    assert f"two of the kind {what} are called " in mistake


def test_an_unknown_role_is_refused_with_those_there_are(tmp_path: Path) -> None:
    key = f"- {{name: a, role: king, hash: {HASH}}}\n"
    (mistake,) = mistakes(tmp_path, f"auth:\n  webhook: {{insecure: true}}\n  api_keys:\n  {key}")
    assert mistake.startswith("4: role: ")
    assert all(role in mistake for role in ROLES)


def test_playbook_files_are_found_beside_the_settings_each_once(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yml", "more/c.yml", "not.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = settings(tmp_path, f"{MINIMAL}playbooks: [b.yml, '*.yml', 'more/*.yml', 'none/*.yml', '**/c.yml']")
    names = [str(path.relative_to(tmp_path)) for path in playbook_files(found, tmp_path)]
    assert names == ["b.yml", "a.yml", "amend.yml", "more/c.yml"]


def test_a_playbook_file_that_is_named_is_never_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "amend[1]"  # which is a pattern, too
    folder.mkdir()
    (folder / "a.yml").touch()
    found = settings(folder, f"{MINIMAL}playbooks: ['a*.yml', gone.yml]")
    names = [path.name for path in playbook_files(found, folder)]
    assert names == ["a.yml", "amend.yml", "gone.yml"]


def test_the_fingerprint_tells_texts_and_their_borders_apart() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert digest(b"a") == digest(b"a")
    assert len(digest()) == 16


# ── receivers and teams ──


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("email: {host: mail, from: a@b.c, to: [d@e.f]}", '"mail" is not an address; write host: HOST:PORT'),
        ('email: {host: "mail:25", from: "a@b.c", to: ["d@e.f\\nBcc: x@y.z"]}', "is no mail address"),
        ("email: {host: 'mail:25', from: Anna, to: [d@e.f]}", '"Anna" is no mail address; write NAME@DOMAIN'),
        ("email: {host: 'mail:25', from: a@b.c, to: []}", "to: "),
        ("email: {host: 'mail:25', from: a@b.c, to: [d@e.f], username: u}", "username and password_file go together"),
        (
            "email: {host: 'mail:25', from: a@b.c, to: [d@e.f], username: u, password: p, starttls: false}",
            "the password would be sent in the clear",
        ),
        ("pagerduty: {url: https://events.eu.pagerduty.com/v2/enqueue}", '"routing_key" is missing'),
        ("apprise: {}", "names no service; add url_file: or urls:"),
        ("teams: {url: nowhere}", "is no address"),
    ],
)
def test_a_receiver_that_cannot_work_is_refused(tmp_path: Path, place: str, said: str) -> None:
    (mistake,) = mistakes(tmp_path, f"{MINIMAL}receivers:\n- name: a\n  {place}\n")
    assert said in mistake
    assert mistake.startswith(("3: ", "4: "))


def test_a_receiver_may_have_several_places(tmp_path: Path) -> None:
    text = """\
receivers:
- name: a
  max_per_minute: 5
  pagerduty: {routing_key: k}
  email: {host: "mail.example.com:465", from: amend@example.com, to: [a@example.com, b@example.com]}
"""
    (receiver,) = settings(tmp_path, MINIMAL + text).receivers
    assert list(receiver.places) == ["pagerduty", "email"]
    assert receiver.email
    assert (receiver.email.address, receiver.email.from_) == (("mail.example.com", 465), "amend@example.com")
    assert receiver.pagerduty
    assert str(receiver.pagerduty.url) == "https://events.pagerduty.com/v2/enqueue"


@pytest.mark.parametrize(
    ("team", "said"),
    [
        ("{}", "a team without members can agree to nothing; add api_keys: or slack_users:"),
        ("{slack_users: [anna]}", '"anna" is no member ID of Slack'),
        ("{slack_users: [U0ANNA], api_keys: [ben]}", 'no API key is called "ben"'),
    ],
)
def test_a_team_has_members_that_can_be_known(tmp_path: Path, team: str, said: str) -> None:
    (mistake,) = mistakes(tmp_path, f"auth:\n  webhook: {{insecure: true}}\n  teams:\n    team-shop: {team}\n")
    assert said in mistake


def test_a_key_cannot_be_called_like_somebody_in_slack(tmp_path: Path) -> None:
    key = f"{{name: 'slack:U0ANNA', role: admin, hash: {HASH}}}"
    (mistake,) = mistakes(tmp_path, f"auth:\n  webhook: {{insecure: true}}\n  api_keys: [{key}]\n")
    assert "would be taken for a user of Slack in the audit log" in mistake
