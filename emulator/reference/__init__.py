"""Reference pages in docs/, generated from the code: routes, errors, settings, dependencies, jobs, decisions."""
