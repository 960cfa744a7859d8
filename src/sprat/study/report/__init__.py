"""What a study leaves for people: a terminal table, one page that opens offline, charts, and the same as JSON."""
