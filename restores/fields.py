"""The column that stores a `RestoreRequest`."""

from __future__ import annotations

from typing import Any

from django.db import models

from covetbackup.core.databases.restore import RestoreRequest


class RestoreRequestField(models.JSONField):
    """A `RestoreRequest` as JSON. Lookups by key work as with any JSON: `request__database`."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        # The value of a key inside it is no request.
        return RestoreRequest.from_json(found) if _is_request(found) else found

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return the stored JSON of a request."""
        if isinstance(value, RestoreRequest):
            value = value.to_json()
        return super().get_db_prep_value(value, connection, prepared)

    def value_to_string(self, obj: models.Model) -> Any:
        """Return the JSON of a request for a dump of the catalog."""
        return self.value_from_object(obj).to_json()

    def to_python(self, value: Any) -> Any:
        return RestoreRequest.from_json(value) if _is_request(value) else value


def _is_request(value: Any) -> bool:
    return isinstance(value, dict) and "version" in value
