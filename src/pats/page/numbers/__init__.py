"""The numbers of a page: tables, statistics, and what predictions show."""
