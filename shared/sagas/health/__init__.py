"""Health of the parts that this backend depends on: a look at each part, and alerts for a part that stays down."""
