"""Where credentials come from, and when they are fetched anew."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from canary.errors import Misconfigured
from canary.wire.credentials import REFRESH_S, CredentialSource
from canary.wire.endpoints import Endpoint
from canary.wire.faults import NoAnswer, NoCredentials
from canary.wire.sign import Credentials

FULL = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9001/2021-08-20/credentials"}
NOW = 1_795_246_200.0


@dataclass
class Container:
    """Hands credentials out, each time new ones that live for ``life_s``; ``answers`` come first."""

    now: float = NOW
    life_s: float | None = 3600.0
    answers: list[bytes | Exception] = field(default_factory=list)
    asked: list[tuple[Endpoint, str, str | None]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def fetch(self, endpoint: Endpoint, path: str, authorization: str | None) -> bytes:
        self.asked.append((endpoint, path, authorization))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        number = len(self.asked)
        ends = datetime.fromtimestamp(self.now + self.life_s, UTC) if self.life_s is not None else None
        return json.dumps(
            {"AccessKeyId": f"A{number}", "SecretAccessKey": f"S{number}", "Token": f"T{number}"}
            | ({"Expiration": ends.isoformat().replace("+00:00", "Z")} if ends else {})
        ).encode()

    def source(self, environ=FULL) -> CredentialSource:
        return CredentialSource(environ, self.fetch, self.clock)


class TestTheEnvironment:
    def test_keys_and_token_are_read_at_every_call_since_they_rotate(self):
        environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}
        source = Container().source(environ)
        assert source.now() == Credentials("A", "S", None)
        environ |= {"AWS_ACCESS_KEY_ID": "A2", "AWS_SECRET_ACCESS_KEY": "S2", "AWS_SESSION_TOKEN": "T2"}
        assert source.now() == Credentials("A2", "S2", "T2")

    def test_the_token_may_have_its_old_name(self):
        environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SECURITY_TOKEN": "T"}
        assert Container().source(environ).now().token == "T"

    def test_keys_go_before_the_container(self):
        container = Container()
        assert container.source({**FULL, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}).now().access_key == "A"
        assert container.asked == []

    @pytest.mark.parametrize(
        "environ",
        [{}, {"AWS_PROFILE": "mine"}, {"AWS_ACCESS_KEY_ID": "A"}, {"AWS_SECRET_ACCESS_KEY": "S"},
         {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn"},
         {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}],
    )  # fmt: skip
    def test_without_any_that_we_know_of_nothing_starts_and_the_way_out_is_said(self, environ):
        with pytest.raises(Misconfigured, match="CANARY_TRANSPORT=botocore"):
            Container().source(environ)


class TestTheContainer:
    def test_it_is_asked_once_and_what_it_gave_serves_until_it_is_about_to_end(self):
        container = Container()
        source = container.source()
        first = source.now()
        assert (first.access_key, first.secret_key, first.token, first.expires) == ("A1", "S1", "T1", NOW + 3600)
        container.now += 3600 - REFRESH_S - 1
        assert source.now() == first
        container.now += 2
        assert source.now().access_key == "A2"
        assert container.asked == [(Endpoint("127.0.0.1", 9001, tls=False), "/2021-08-20/credentials", None)] * 2

    def test_credentials_without_an_end_are_kept(self):
        container = Container(life_s=None)
        source = container.source()
        source.now()
        container.now += 10**7
        assert (source.now().access_key, len(container.asked)) == ("A1", 1)

    def test_while_it_does_not_answer_what_is_held_serves_to_its_end_and_it_is_not_asked_every_time(self):
        container = Container()
        source = container.source()
        source.now()
        container.now += 3600 - REFRESH_S
        container.answers = [NoAnswer("hangs")] * 100
        for _ in range(int(REFRESH_S)):
            assert source.now().access_key == "A1"
            container.now += 0.99
        assert 2 < len(container.asked) <= 1 + REFRESH_S / 15 + 1
        container.now = NOW + 3601
        with pytest.raises(NoCredentials):
            source.now()
        container.answers = []
        assert source.now().token is not None

    def test_the_authorization_is_sent_and_that_of_a_file_is_read_anew(self, tmp_path):
        container = Container(life_s=1)
        container.source({**FULL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "word"}).now()
        file = tmp_path / "token"
        source = container.source(
            {**FULL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "word", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}
        )
        for word in ("first", "second"):
            file.write_text(word)
            source.now()
        assert [authorization for _, _, authorization in container.asked] == ["word", "first", "second"]

    def test_a_token_that_would_break_out_of_its_header_is_not_sent(self):
        container = Container()
        with pytest.raises(NoCredentials):
            container.source({**FULL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nx: y"}).now()
        assert container.asked == []

    def test_a_token_file_that_is_not_there_leaves_us_without(self):
        with pytest.raises(NoCredentials):
            Container().source({**FULL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/token"}).now()

    def test_the_relative_address_is_that_of_ecs_and_goes_first(self):
        container = Container()
        container.source({**FULL, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x?y=1"}).now()
        assert container.asked[0][:2] == (Endpoint("169.254.170.2", 80, tls=False), "/v2/credentials/x?y=1")

    @pytest.mark.parametrize(
        "url",
        ["http://credentials.example/x", "http://10.0.0.1/x", "http://127.evil.example/x", "ftp://127.0.0.1/x", "nonsense",
         "http://user@127.0.0.1/x", "http://127.0.0.1/x y", "http://127.0.0.1/x\r\nhost: y"],
    )  # fmt: skip
    def test_an_address_elsewhere_without_tls_or_none_at_all_is_refused(self, url):
        with pytest.raises(Misconfigured, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            Container().source({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]", "169.254.170.23", "[fd00:ec2::23]"])
    def test_addresses_of_this_machine_are_asked(self, host):
        assert Container().source({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{host}:80/x"}).now().access_key == "A1"

    def test_elsewhere_is_asked_over_tls(self):
        container = Container()
        container.source({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://credentials.example/x"}).now()
        assert container.asked[0][0] == Endpoint("credentials.example", 443, tls=True)

    @pytest.mark.parametrize(
        "answer", [b"", b"[]", b"{}", b'{"AccessKeyId": "very-secret"}', b'{"SecretAccessKey": "very-secret"']
    )
    def test_an_answer_that_is_none_leaves_us_without_and_is_not_repeated(self, answer):
        with pytest.raises(NoCredentials) as caught:
            Container(answers=[answer]).source().now()
        assert "very-secret" not in str(caught.value)
