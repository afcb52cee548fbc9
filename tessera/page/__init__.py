"""Parts of self-contained HTML pages: the look and the tables that the report and the dashboard share."""
