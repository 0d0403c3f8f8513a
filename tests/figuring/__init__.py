"""The long form of the figures of the platform: a year of many accounts."""
