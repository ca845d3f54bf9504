"""Parameters of computations: their common class, and quantities with unit and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

__all__ = [
    "IN_PIXELS",
    "Count",
    "Degrees",
    "NonNegative",
    "OneOf",
    "Parameters",
    "Pixels",
    "PositiveCount",
    "Share",
    "SignalStd",
    "Volts",
]

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
IN_PIXELS: FieldInfo = Field(json_schema_extra={"unit": "px"})
Pixels = Annotated[float, IN_PIXELS]
Degrees = Annotated[float, Field(json_schema_extra={"unit": "deg"})]
Volts = Annotated[float, Field(json_schema_extra={"unit": "V"})]
SignalStd = Annotated[float, Field(ge=0, json_schema_extra={"unit": "signal std"})]


@dataclass(frozen=True)
class OneOf:
    """Restrict a word to the names in a registry, those that are registered later included.

    Parameters
    ----------
    names : mapping
        The registry, by name.
    """

    names: Mapping[str, object]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.names)}

    def _check(self, word: str) -> str:
        """Return the word, or raise the error that lists the names."""
        if word not in self.names:
            raise PydanticCustomError(
                "one_of", "choose one of {names}", {"names": ", ".join(map(repr, self.names))}
            )
        return word


class Parameters(BaseModel):
    """Frozen parameters of a computation, step or job.

    A field's type holds unit (``json_schema_extra["unit"]``) and range, the string below it is its
    help: forms, command-line options, ``--help`` and saved provenance derive from them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
