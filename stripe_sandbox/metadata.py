"""Metadata: merged key by key, unset with an empty value."""

from typing import Any

from stripe_sandbox.wire import refused

MOST_KEYS, LONGEST_KEY, LONGEST_VALUE = 50, 40, 500


def merged(old: dict[str, str], given: Any) -> dict[str, str]:
    """What is there with what is given: "" empties all, a key with "" goes."""
    if given is None:
        return dict(old)
    if given == "":
        return {}
    result = dict(old)
    for key, value in given.items():
        if len(key) > LONGEST_KEY:
            raise refused(
                f"Metadata keys must be at most {LONGEST_KEY} characters; got {len(key)}.",
                param=f"metadata[{key}]",
            )
        if len(value) > LONGEST_VALUE:
            raise refused(
                f"Metadata values must be at most {LONGEST_VALUE} characters; got {len(value)}.",
                param=f"metadata[{key}]",
            )
        if value == "":
            result.pop(key, None)
        else:
            result[key] = value
    if len(result) > MOST_KEYS:
        raise refused(f"Metadata can have at most {MOST_KEYS} keys.", param="metadata")
    return result
