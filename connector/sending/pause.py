"""Why sending ends for now, for all feeds."""

from __future__ import annotations

from datetime import datetime

from connector.vocabulary.run import Problem, ProblemCode


class Pause(Exception):
    """Sending ends for now, for all feeds; what is left stays in the spool. Not an error: the next tick goes on."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


LEASE_LOST = Problem(
    code=ProblemCode.LEASE, message="the uplink's lease was lost while sending", advice="nothing: the next tick goes on"
)
INTERRUPTED = Problem(
    code=ProblemCode.INTERRUPTED, message="sending was interrupted", advice="nothing: the next tick goes on"
)
TIME_IS_UP = Problem(
    code=ProblemCode.TIME,
    message="the function's time limit is near (SEND_TIME_LIMIT)",
    advice="nothing: the next tick goes on",
)


def quota_problem(until: datetime) -> Problem:
    return Problem(
        code=ProblemCode.QUOTA,
        message=f"the tenant's quota of calls is used up; sending goes on at about {until:%Y-%m-%d %H:%M} UTC",
        advice="nothing, or send less: `content: delta`, or Entra ID Governance's larger quota (SEND_QUOTA)",
    )
