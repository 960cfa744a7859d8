"""The dashboard's login over HTTP: who may look, forged posts, guessing, rebound names, and what the store keeps."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from dashboard_browser import PASSWORD, Shown

from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.dashboard import login
from sprat.gateway.dashboard.login import Operator, first_password, generated, set_password
from sprat.gateway.ledger.store import Store


class Visitor:
    """Asks as a browser would, keeping its cookies; headers may be left out or put in wrongly."""

    def __init__(self, shown: Shown) -> None:
        self.at = shown.at
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str | None) -> Any:
        host = headers.pop("Host", None) or f"127.0.0.1:{self.at}"
        told: dict[str, str | None] = {"Host": host, "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if method == "POST":
            told |= {"Origin": f"http://{host}", "Content-Type": "application/x-www-form-urlencoded"}
        told |= headers
        connection = http.client.HTTPConnection("127.0.0.1", self.at, timeout=10)
        connection.request(method, path, urlencode(form or {}), {k: v for k, v in told.items() if v})
        answer = connection.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        for line in answer.headers.get_all("set-cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return answer

    def token(self, path: str = "/sprat/login") -> str:
        found = re.search(r'name="token" value="([^"]*)"', self.ask("GET", path).text)
        assert found, "a page has a token"
        return found[1]

    def log_in(self, password: str = PASSWORD, **headers: str | None) -> Any:
        return self.ask("POST", "/sprat/login", {"token": self.token(), "password": password}, **headers)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(login._SCRYPT, "n", 16)  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with Shown(tmp_path) as made:
        yield made


@pytest.fixture
def visitor(shown: Shown) -> Visitor:
    return Visitor(shown)


def test_the_right_password_opens_the_dashboard(visitor: Visitor) -> None:
    answer = visitor.log_in()
    assert (answer.status, answer.headers["location"]) == (303, "/sprat/")
    assert visitor.ask("GET", "/sprat/api/overview").status == 200


def test_a_wrong_password_does_not(visitor: Visitor) -> None:
    answer = visitor.log_in("correct horse batterz")
    assert answer.status == 403
    assert "not the password" in answer.text
    assert visitor.ask("GET", "/sprat/api/overview").status == 401


@pytest.mark.parametrize("path", ["overview", "decisions", "decision/x1"])
def test_no_number_is_shown_without_a_login(visitor: Visitor, path: str) -> None:
    assert visitor.ask("GET", f"/sprat/api/{path}").status == 401


def test_a_logout_does_not_undo_a_password_that_is_set_meanwhile(tmp_path: Path) -> None:
    with Store.read(tmp_path / "sprat.db", create=True) as store:
        set_password(store, PASSWORD)

        class Slow(Store):
            def setting(self, name: str) -> str | None:
                """What is there; and then, once, somebody else sets a password."""
                found = super().setting(name)
                if others:
                    set_password(store, others.pop())
                return found

        async def leave() -> bool:
            operator = Operator(Slow(store.engine))
            session = await operator.session(await operator.begin(0.0), 0.0)
            assert session is not None
            others.append("correct horse batterz")
            await operator.end(session, 0.0)
            return await operator.check("correct horse batterz")

        others: list[str] = []
        assert asyncio.run(leave())


def test_the_page_leads_to_the_login(visitor: Visitor) -> None:
    answer = visitor.ask("GET", "/sprat/")
    assert (answer.status, answer.headers["location"]) == (303, "/sprat/login")


def test_the_address_without_its_slash_leads_to_the_page(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/sprat").headers["location"] == "/sprat/"


def test_the_session_can_not_be_read_by_scripts_nor_sent_from_elsewhere(visitor: Visitor) -> None:
    said = next(c for c in visitor.log_in().headers.get_all("set-cookie") if "session" in c)
    assert {"HttpOnly", "SameSite=Strict", "Path=/sprat/"} <= set(said.split("; "))
    assert "Secure" not in said  # on loopback there is no TLS


def test_off_loopback_the_session_is_sent_over_tls_alone(visitor: Visitor) -> None:
    visitor.cookies.clear()
    host = f"10.0.0.9:{visitor.at}"
    token = re.search(r'value="([^"]+)"', visitor.ask("GET", "/sprat/login", Host=host).text)
    assert token
    form = {"token": token[1], "password": PASSWORD}
    answer = visitor.ask("POST", "/sprat/login", form, Host=host, Origin=f"https://{host}")
    said = next(c for c in answer.headers.get_all("set-cookie") if "session" in c)
    assert "Secure" in said.split("; ")


def test_off_loopback_no_password_is_taken_without_tls(visitor: Visitor) -> None:
    answer = visitor.ask("POST", "/sprat/login", {"password": PASSWORD}, Host=f"10.0.0.9:{visitor.at}")
    assert (answer.status, "https_needed" in answer.text) == (403, True)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
def test_a_post_from_elsewhere_is_refused(visitor: Visitor, origin: str | None) -> None:
    assert visitor.log_in(Origin=origin).status == 403
    assert visitor.ask("GET", "/sprat/api/overview").status == 401


def test_a_login_without_its_token_is_refused(visitor: Visitor) -> None:
    visitor.token()
    assert visitor.ask("POST", "/sprat/login", {"password": PASSWORD}).status == 403


def test_a_login_with_another_forms_token_is_refused(shown: Shown, visitor: Visitor) -> None:
    visitor.token()
    form = {"token": Visitor(shown).token(), "password": PASSWORD}
    assert visitor.ask("POST", "/sprat/login", form).status == 403


def test_a_forged_logout_is_refused(visitor: Visitor) -> None:
    visitor.log_in()
    assert visitor.ask("POST", "/sprat/logout", {"token": "0" * 64}).status == 403
    assert visitor.ask("GET", "/sprat/api/overview").status == 200


def test_who_has_logged_out_is_out_also_with_the_old_cookie(visitor: Visitor) -> None:
    visitor.log_in()
    kept = dict(visitor.cookies)
    assert visitor.ask("POST", "/sprat/logout", {"token": visitor.token("/sprat/")}).status == 303
    visitor.cookies = kept
    assert visitor.ask("GET", "/sprat/api/overview").status == 401


def test_a_session_whose_end_was_moved_is_not_believed(visitor: Visitor) -> None:
    visitor.log_in()
    name = next(n for n in visitor.cookies if "session" in n)
    number, _, mac = visitor.cookies[name].split(".")
    visitor.cookies[name] = f"{number}.{int(time.time()) + 10**6}.{mac}"
    assert visitor.ask("GET", "/sprat/api/overview").status == 401


def test_a_session_ends(shown: Shown, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor.log_in()
    now = time.time()
    monkeypatch.setattr("sprat.gateway.app.time.time", lambda: now + 12 * 3600 + 1)
    assert visitor.ask("GET", "/sprat/api/overview").status == 401


def test_another_password_ends_the_sessions(shown: Shown, visitor: Visitor) -> None:
    visitor.log_in()
    with Store.read(shown.path) as store:
        set_password(store, "another password")
    shown.app.dashboard.operator._read_at = 0.0  # a second later
    assert visitor.ask("GET", "/sprat/api/overview").status == 401
    assert visitor.log_in("another password").status == 303


def test_guessing_is_slowed(visitor: Visitor) -> None:
    answers = [visitor.log_in(f"guess {i} of many") for i in range(6)]
    assert [a.status for a in answers] == [403] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 5


def test_the_right_password_is_not_looked_at_while_guessing_is_slowed(visitor: Visitor) -> None:
    for i in range(5):
        visitor.log_in(f"guess {i} of many")
    assert visitor.log_in().status == 429


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "::"])
def test_a_name_that_was_pointed_here_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.ask("GET", "/sprat/login", Host=host or " ").status in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "10.1.2.3"])
def test_this_machines_names_and_addresses_are_known(visitor: Visitor, host: str) -> None:
    assert visitor.ask("GET", "/sprat/login", Host=f"{host}:{visitor.at}").status == 200


def test_a_configured_name_is_known(tmp_path: Path) -> None:
    with Shown(tmp_path, dashboard_hosts=("gateway.example",)) as shown:
        assert Visitor(shown).ask("GET", "/sprat/login", Host="gateway.example").status == 200


@pytest.mark.parametrize("path", ["/sprat/", "/sprat/login", "/sprat/page.js", "/sprat/nothing", "/sprat/api/overview"])
def test_every_answer_forbids_foreign_scripts_and_frames(visitor: Visitor, path: str) -> None:
    headers = visitor.ask("GET", path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["../app.py", "..%2fapp.py", "overview.html", "login.html", "api/", "api/decision/", "api/overview?window=year"],
)
def test_nothing_else_is_there(visitor: Visitor, path: str) -> None:
    visitor.log_in()
    assert visitor.ask("GET", f"/sprat/{path}").status in (400, 404)


def test_a_question_of_very_many_parts_is_refused(visitor: Visitor) -> None:
    visitor.log_in()
    assert visitor.ask("GET", "/sprat/api/decisions?" + "a=1&" * 99).status == 400


def test_without_a_store_there_is_no_dashboard(tmp_path: Path) -> None:
    from running import Running

    from sprat import toy

    with Running(toy("small", "yes")) as gateway:
        status, _, said = gateway.get("/sprat/login")
    assert (status, said["error"]["code"]) == (503, "no_store")


def test_no_password_is_kept_as_it_is(shown: Shown) -> None:
    with Store.read(shown.path) as store:
        assert PASSWORD not in str(store.setting("dashboard"))


def test_the_first_password_is_made_once(tmp_path: Path) -> None:
    with Store.read(tmp_path / "sprat.db", create=True) as store:
        assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", first_password(store))
        assert first_password(store) == ""


def test_no_two_passwords_are_alike() -> None:
    assert len({generated() for _ in range(100)}) == 100


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    with Store.read(tmp_path / "sprat.db", create=True) as store, pytest.raises(BadInput, match="needs 12 or more"):
        set_password(store, "short")


def test_the_command_sets_a_password_that_opens(shown: Shown, visitor: Visitor, capsys: Any) -> None:
    assert main(["dashboard", "password", "--store", str(shown.path)]) == 0
    password = capsys.readouterr().out.splitlines()[0]
    assert visitor.log_in(password).status == 303


def test_the_command_takes_a_password_from_standard_input(
    shown: Shown, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("chosen by a person\n"))
    assert main(["dashboard", "password", "--own", "--store", str(shown.path)]) == 0
    assert visitor.log_in("chosen by a person").status == 303
