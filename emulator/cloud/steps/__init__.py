"""Steps of `make deploy`, a module for each thing that a project needs. Each looks at Google, and says the changes."""
