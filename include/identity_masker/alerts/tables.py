"""The tables of alerts in the control database; they are made with its others when it is opened."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from identity_masker.serving.schema import metadata

incidents = Table(
    "alert_incidents",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("episode", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("severity", String(12), nullable=False),
    Column("area", String(20), nullable=False),
    Column("title", String(200), nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("told_at", Float, nullable=False),
    Column("occurrences", Integer, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", String(200), nullable=False),
    Column("event", String(200), nullable=False),
    Column("document", JSON, nullable=False),
    Column("at", Float, nullable=False),
    # An event of an incident is told once: whoever writes it second finds it here.
    UniqueConstraint("incident", "event", name="one_alert_an_event"),
)

deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("alert_id", Integer, nullable=False),
    Column("incident", String(200), nullable=False),
    Column("episode", Integer, nullable=False),
    Column("channel", String(40), nullable=False),
    # Deliveries of one bundle go out as one message; an empty one goes alone.
    Column("bundle", String(60), nullable=False),
    Column("due_at", Float, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("sent_at", Float),
    Index("alert_deliveries_waiting", "state", "channel", "due_at"),
    Index("alert_deliveries_incident", "incident", "episode"),
)

channels = Table(
    "alert_channels",
    metadata,
    # Who sends on the channel now, and until when nobody else does: one sender a channel keeps the order of a thread.
    Column("name", String(40), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("blocked_until", Float, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("error", Text, nullable=False),
)

threads = Table(
    "alert_threads",
    metadata,
    Column("channel", String(40), primary_key=True),
    Column("incident", String(200), primary_key=True),
    Column("episode", Integer, primary_key=True),
    Column("reference", String(300), nullable=False),
)
