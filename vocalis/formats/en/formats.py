"""How the admin writes times: as logs and commands do, to the second.
The pages of customers say their formats themselves."""

DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = "Y-m-d"
