"""A campaign's log for others to read: a page, JUnit XML, CSV. What is shown stands in the log; nothing is computed."""
