"""The search page and its server: requests to answers; what searches is given to it."""
