"""Public HTTP API. Only this package uses Flask. Every handler reads the call, calls one use case, and returns."""
