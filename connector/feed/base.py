"""What the sections of a feed file have in common: frozen models without unknown keys, and faults in our own words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def wrong(message: str, advice: str = "") -> PydanticCustomError:
    return PydanticCustomError("feed", "{message}", {"message": message, "advice": advice})


def as_text(value: Any) -> Any:
    """A name that looks like a number (`sheet: 2026`) is still a name."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(as_text), Field(min_length=1)]


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False, defer_build=True
    )
