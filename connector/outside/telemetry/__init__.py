"""Events are logged; metrics and spans are said with these. Nothing is told to anybody until `invocation` says whom."""

from connector.outside.telemetry.spans import (
    NO_SPAN,
    Span,
    active,
    begin,
    measure,
    outcome_counts,
    plain_code,
    row_counts,
    span,
)

__all__ = ["NO_SPAN", "Span", "active", "begin", "measure", "outcome_counts", "plain_code", "row_counts", "span"]
