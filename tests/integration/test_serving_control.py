"""The control database on both of its backends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from tests.integration.postgres import binary, postgres

from identity_masker.errors import BadInputError, ConflictError, MaskerError, TemporaryError
from identity_masker.serving import schema
from identity_masker.serving.control import Control, Deployment, Endpoint
from identity_masker.serving.routing import RoutingTable, Variant, only


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if binary("postgres") is None:
        pytest.skip("no PostgreSQL on this machine")
    with postgres() as url:
        wait_for_server(url)
        yield url


def wait_for_server(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            Control(url).close()
            return
        except TemporaryError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/folder/control.db"
    found: str = request.getfixturevalue("postgres_url")
    engine = create_engine(make_url(found).set(drivername="postgresql+psycopg"))
    schema.metadata.drop_all(engine)
    engine.dispose()
    return found


@pytest.fixture
def control(url: str) -> Iterator[Control]:
    with Control(url) as opened:
        yield opened


def endpoint(slot: str = "1-0", version: str = "1", **fields: object) -> Endpoint:
    known = {"owner": "f", "slot": slot, "version": version, "url": f"http://h/{slot}", "pid": 7, "state": "ready"}
    return Endpoint.model_validate(known | fields)


def test_nothing_is_there_at_first(control: Control) -> None:
    assert (control.revision_number(), control.revision()) == (0, None)
    assert (control.deployments(), control.endpoints()) == ([], [])


def test_routing_is_written_and_read_back_whole(control: Control) -> None:
    table = RoutingTable(
        variants={
            "champion": Variant(version="1", semver="1.0.0", share=0.9),
            "canary": Variant.model_validate(
                {"version": "2", "semver": "1.1.0", "share": 0.1, "lease_expires_at": "2026-11-23T12:00:00.25+01:00"}
            ),
        },
        salt="s",
    )
    written = control.write_routing(table, expected=0, author="airflow", reason="début 🚀")
    read = control.revision()
    assert read == written
    assert (written.number, written.table, written.author, written.reason) == (1, table, "airflow", "début 🚀")


def test_a_stale_write_is_refused_and_changes_nothing(control: Control) -> None:
    control.write_routing(only("1", "1.0.0"), expected=0, author="a", reason="first")
    control.write_routing(only("2", "1.1.0"), expected=1, author="b", reason="second")
    for stale in (0, 1, 3):
        with pytest.raises(ConflictError, match="revision 2"):
            control.write_routing(only("9", "9.9.9"), expected=stale, author="c", reason="late")
    assert [(r.number, r.table.champion_version, r.author) for r in control.history()] == [(2, "2", "b"), (1, "1", "a")]


def test_of_many_writers_at_once_exactly_one_wins_each_revision(url: str) -> None:
    with Control(url):
        pass

    def write(author: int) -> int:
        won = 0
        with Control(url) as control:
            for _ in range(10):
                try:
                    number = control.revision_number()
                    control.write_routing(only("1", "1.0.0"), expected=number, author=str(author), reason="race")
                    won += 1
                except ConflictError:
                    continue
        return won

    with ThreadPoolExecutor(4) as pool:
        wins = sum(pool.map(write, range(4)))
    with Control(url) as control:
        assert [r.number for r in control.history()] == list(range(wins, 0, -1))


def test_many_processes_may_open_a_new_database_at_once(url: str) -> None:
    def open_it(_: int) -> int:
        with Control(url) as control:
            return control.revision_number()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_it, range(8))) == [0] * 8


def test_the_newest_deployment_of_a_version_holds(control: Control) -> None:
    one, two = (Deployment(version=v, semver=f"{v}.0.0", replicas=1) for v in "12")
    control.deploy(one, author="a", reason="r")
    control.deploy(two, author="a", reason="r")
    control.deploy(one.model_copy(update={"replicas": 3}), author="a", reason="more")
    assert {d.version: d.replicas for d in control.deployments()} == {"1": 3, "2": 1}
    control.deploy(two.model_copy(update={"replicas": 0}), author="a", reason="gone")
    assert [d.version for d in control.deployments()] == ["1"]
    assert control.deployment("2") == two.model_copy(update={"replicas": 0})
    assert control.deployment("3") is None


def test_endpoints_are_updated_in_place(control: Control) -> None:
    control.record_endpoint(endpoint("1-0", state="starting", detail="the process starts"))
    control.record_endpoint(endpoint("1-0", restarts=2))
    control.record_endpoint(endpoint("2-0", version="2"))
    assert [(e.slot, e.state, e.restarts) for e in control.endpoints()] == [("1-0", "ready", 2), ("2-0", "ready", 0)]
    assert abs(control.endpoints("1")[0].heartbeat - time.time()) < 5
    control.forget_endpoint("f", "1-0")
    assert [e.slot for e in control.endpoints()] == ["2-0"]


def test_two_fleets_of_one_name_may_write_the_same_endpoints_at_once(url: str) -> None:
    slots = [f"1-{n}" for n in range(20)]
    failures: list[Exception] = []
    both = threading.Barrier(2)

    def write() -> None:
        with Control(url) as own:
            for slot in slots:
                both.wait(30)
                try:
                    own.record_endpoint(endpoint(slot))
                except Exception as error:
                    failures.append(error)

    fleets = [threading.Thread(target=write) for _ in range(2)]
    for fleet in fleets:
        fleet.start()
    for fleet in fleets:
        fleet.join()
    with Control(url) as control:
        assert sorted(e.slot for e in control.endpoints()) == sorted(slots)
    assert failures == []


def test_state_survives_a_new_process(url: str) -> None:
    with Control(url) as control:
        control.write_routing(only("1", "1.0.0"), expected=0, author="a", reason="r")
    with Control(url) as control:
        assert control.revision_number() == 1


def test_tables_of_a_newer_version_are_refused(url: str) -> None:
    with Control(url) as control, control._transaction() as connection:
        connection.execute(text("INSERT INTO masker_schema (version) VALUES (99)"))
    with pytest.raises(BadInputError, match="version 99"):
        Control(url)


def test_a_document_of_a_newer_version_is_an_error_not_a_guess(control: Control) -> None:
    control.write_routing(only("1", "1.0.0"), expected=0, author="a", reason="r")
    with control._transaction() as connection:
        connection.execute(schema.routing.update().values(document={"variants": {}, "novelty": 1}))
    with pytest.raises(MaskerError, match="revision 1"):
        control.revision()


def test_a_database_that_does_not_answer_is_temporary_and_hides_the_password() -> None:
    with pytest.raises(TemporaryError) as caught:
        Control("postgresql://user:planted-password@127.0.0.1:9/x")
    assert "127.0.0.1:9" in str(caught.value)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["nonsense", "oracle+none://h/x", ""])
def test_a_wrong_url_is_bad_input(wrong: str) -> None:
    with pytest.raises(BadInputError, match="MASKER_CONTROL_DB"):
        Control(wrong)


def test_a_file_that_is_no_database_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_text("this is a text file, and longer than a hundred characters" * 50)
    with pytest.raises(TemporaryError, match="not a database"):
        Control(f"sqlite:///{tmp_path}/control.db")


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="is a file"):
        Control(f"sqlite:///{tmp_path}/file/control.db")
