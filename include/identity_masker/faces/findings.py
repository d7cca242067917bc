"""What a validation found: one finding a rule, and the report that holds them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from identity_masker.faces.rules import Rule, Severity, Table

EXAMPLES = 10
"""At most so many rows are named as examples of a broken rule."""


class Finding(BaseModel):
    """The outcome of one rule. `failed` of `checked` rows broke it; `observed` is the mean where that was asked.

    `details` says of each of `examples` what was found, where a rule looks at single rows.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    severity: Severity
    table: Table
    ok: bool
    asks: str
    checked: int
    failed: int
    observed: str | None = None
    examples: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    why: str
    fix: str

    def found(self) -> str:
        """What was found, in words."""
        if not self.checked:
            return "nothing to compare with"
        return self.observed or f"{self.failed} of {self.checked} rows broke it"

    def told(self) -> list[tuple[str, str]]:
        """Each example with its detail, empty where there is none."""
        return [(name, self.details[at] if at < len(self.details) else "") for at, name in enumerate(self.examples)]

    def text(self) -> str:
        """The finding in one line."""
        named = f", for example {', '.join(self.examples[:3])}" if self.examples else ""
        return f"{self.rule}: expected {self.asks}, found {self.found()}{named}; {self.why}; to fix: {self.fix}"


class Report(BaseModel):
    """A validation of a version, as it is kept in the store. `ok`: no rule of severity stop is broken."""

    model_config = ConfigDict(frozen=True)

    version: str
    snapshot: str
    ok: bool
    failed_rules: tuple[str, ...]
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...]
    rules: dict[str, Rule]
    docs_uri: str
    validated_at: datetime

    def broken(self) -> list[Finding]:
        """The findings that stop, in the order of the rules."""
        return [finding for finding in self.findings if not finding.ok and finding.severity == "stop"]
