"""What a judge says: one finding for each property, and the verdict that they add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nvpkit.checks.values import Absent, Values, clean_text


class Wrong(Exception):
    """A property does not hold; the text says what was expected, what came and the likely cause."""


@dataclass(frozen=True)
class Finding:
    """One property of a student's code: whether it holds, and what to say about it."""

    property: str
    ok: bool
    message: str = ""
    part: str = ""


@dataclass(frozen=True)
class Verdict:
    """The points of one task and the findings behind them."""

    score: float
    max_score: float
    findings: list[Finding] = field(default_factory=list)


class Judge:
    """Collects the properties of a task by decoration; `judge(inputs, outputs)` then tests each of them in order.

    A property is a function of (inputs, values). It raises Wrong, or returns a short detail for the line that is
    printed. Anything else that it raises means that the values could not be read, which is a failed property too.
    """

    def __init__(self):
        self.properties: list[tuple[str, str, Callable]] = []

    def property(self, name: str, part: str = "") -> Callable:
        """Register the decorated function as a property of the task, or of one of its parts."""

        def register(function):
            self.properties.append((name, part, function))
            return function

        return register

    def parts(self) -> list[str]:
        return list(dict.fromkeys(part for _, part, _ in self.properties))

    def __call__(self, inputs: dict, outputs: dict) -> list[Finding]:
        """Return one finding for each property, or one for a part that stopped with an error."""
        values = Values(outputs)
        findings = []
        for part in self.parts():
            error = values.error(part)
            if error:
                findings.append(Finding("runs without an error", False, error, part))
                continue
            for name, owner, function in self.properties:
                if owner == part:
                    findings.append(self._test(name, part, function, inputs, values))
        return findings

    @staticmethod
    def _test(name: str, part: str, function: Callable, inputs: dict, values: Values) -> Finding:
        try:
            detail = function(inputs, values)
        except Wrong as wrong:
            return Finding(name, False, clean_text(str(wrong)), part)
        except Absent as absent:
            return Finding(name, False, str(absent), part)
        except Exception as error:
            # Values come from a process that is not trusted: whatever they break, the answer is a failed property.
            return Finding(name, False, f"The values of this test cannot be read ({type(error).__name__}).", part)
        return Finding(name, True, detail or "", part)


def merge(runs: list[list[Finding]]) -> list[Finding]:
    """Return each property once over all seeds: ok where every seed is, else with the first failed seed's message."""
    merged: dict[tuple[str, str], Finding] = {}
    for findings in runs:
        for finding in findings:
            key = (finding.part, finding.property)
            if key not in merged or (merged[key].ok and not finding.ok):
                merged[key] = finding
    # A seed that stops with an error leaves out the properties: the error comes first in what is read.
    return sorted(merged.values(), key=lambda finding: finding.ok) if _stopped(merged) else list(merged.values())


def _stopped(merged: dict) -> bool:
    return any(name == "runs without an error" for _, name in merged)


def add_up(findings: list[Finding], parts: dict[str, float]) -> Verdict:
    """Return the verdict: a part earns its points when it has findings and all of them hold."""
    score = 0.0
    for part, points in parts.items():
        own = [finding for finding in findings if finding.part == part]
        if own and all(finding.ok for finding in own):
            score += points
    return Verdict(score, float(sum(parts.values())), findings)
