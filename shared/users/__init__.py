"""Users: principals, profiles, roles, API keys, and the record of operators' acts."""
