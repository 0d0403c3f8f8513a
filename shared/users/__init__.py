"""Who people are: principals, profiles, roles, and the record of what operators did."""
