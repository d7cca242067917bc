from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select
from tests.unit.alerts.desks import Clock, alert, desk
from tests.unit.alerts.endpoint import endpoint

from identity_masker.alerts.desk import Desk
from identity_masker.alerts.tables import alerts, deliveries, incidents, threads

DAY = 86_400.0


def rows(open_desk: Desk) -> dict[str, int]:
    with open_desk.outbox.transaction() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (alerts, deliveries, incidents, threads)
        }


def test_what_is_old_is_forgotten_but_not_what_fires_waits_or_must_not_be_told_again(tmp_path: Path) -> None:
    clock, step = Clock(), alert("step", event="5 %", state="notice")
    with endpoint() as receiver, desk(tmp_path, receiver.url, clock) as open_desk:
        open_desk.notify(alert("over"))
        open_desk.notify(alert("over", state="resolved"))
        open_desk.notify(step)
        open_desk.notify(alert("fires"))
        receiver.always = (503, {}, b"")
        open_desk.notify(alert("waits", state="notice"))
        clock.now += 91 * DAY
        open_desk.forget()
        assert rows(open_desk) == {"alerts": 2, "alert_deliveries": 1, "alert_incidents": 1, "alert_threads": 1}
        assert open_desk.notify(step).meaning == "known"
        assert open_desk.notify(alert("fires", state="resolved")).meaning == "ended"


def test_repeats_take_no_room(tmp_path: Path) -> None:
    with endpoint() as receiver, desk(tmp_path, receiver.url, Clock()) as open_desk:
        for _ in range(20):
            open_desk.notify(alert())
        assert rows(open_desk)["alerts"] == 1
