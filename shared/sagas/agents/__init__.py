"""Agent tasks: start, slices, tool calls, budget and sweep."""
