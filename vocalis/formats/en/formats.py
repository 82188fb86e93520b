"""Formats of dates and times in the admin: to the second, as in logs and command outputs.

Templates of customers' pages name their formats themselves.
"""

DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = "Y-m-d"
