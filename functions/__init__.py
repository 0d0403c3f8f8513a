"""Entry points: they speak HTTP, CloudEvents and schedules, and decide nothing."""
