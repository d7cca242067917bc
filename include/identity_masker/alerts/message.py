"""What goes out in one piece: an alert, or several that were gathered."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.alerts.alert import Alert, Severity, rank, shortened

WORDS = {"firing": "", "resolved": "RESOLVED", "notice": ""}
GATHERED_TEXT = 300


class Message(BaseModel):
    """`id` is the same each time that the message is tried. `thread` is what the channel called the incident's first
    message, None when this is the first.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    alerts: tuple[Alert, ...] = Field(min_length=1)
    thread: str | None = None

    @property
    def single(self) -> Alert | None:
        return self.alerts[0] if len(self.alerts) == 1 else None

    @property
    def severity(self) -> Severity:
        return max((alert.severity for alert in self.alerts), key=rank)

    @property
    def resolved(self) -> bool:
        return all(alert.state == "resolved" for alert in self.alerts)

    @property
    def subject(self) -> str:
        """One line: `[WARNING] title`, or how many of what."""
        alert = self.single
        if alert is not None:
            return f"[{label(alert)}] {alert.title}"
        counts = Counter(label(alert) for alert in self.alerts)
        parts = ", ".join(f"{count} {name.lower()}" for name, count in sorted(counts.items()))
        return f"[{self.severity.upper()}] {len(self.alerts)} alerts: {parts}"


def label(alert: Alert) -> str:
    """RESOLVED, or the severity."""
    return WORDS[alert.state] or alert.severity.upper()


def facts(alert: Alert) -> dict[str, str]:
    """What is shown beside the text: its facts, and where and when it happened."""
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in alert.facts.items()}
    shown["area"] = alert.area
    if alert.correlation_id:
        shown["run or request"] = alert.correlation_id
    shown["time"] = f"{alert.time:%Y-%m-%d %H:%M:%S %Z}"
    return shown


def plain(message: Message) -> str:
    """The message as text."""
    if message.single is not None:
        return _plain(message.single)
    return "\n\n".join(f"[{label(alert)}] {alert.title}\n{_brief(alert)}".strip() for alert in message.alerts)


def _plain(alert: Alert) -> str:
    lines = [f"[{label(alert)}] {alert.title}", "", alert.text] if alert.text else [f"[{label(alert)}] {alert.title}"]
    lines += ["", *(f"{name}: {value}" for name, value in facts(alert).items())]
    lines += ["", *(f"{name}: {url}" for name, url in alert.links.items())] if alert.links else []
    return "\n".join(lines)


def _brief(alert: Alert) -> str:
    links = "".join(f"\n{name}: {url}" for name, url in alert.links.items())
    return f"{shortened(alert.text, GATHERED_TEXT)}{links}"
