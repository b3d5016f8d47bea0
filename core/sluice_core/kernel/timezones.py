"""Time zones by their names."""

import zoneinfo
from datetime import tzinfo


def time_zone(name: str, path: str) -> tzinfo:
    """The zone of a name of the IANA database; a ValueError names the field at `path` if there is none."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not found; not a zone; the name of a folder such as "Europe"
        raise ValueError(
            f'{path}.timeZone: "{name}" is not a time zone; use a name from the IANA time zone database, '
            "such as Europe/Berlin or UTC"
        ) from error
