"""A small HTTP kit: operations, problem details, authorisation before the handler, paging."""
