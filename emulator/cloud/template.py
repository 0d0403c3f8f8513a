"""Settings of a new project: the commented file `.env.<project>` that the first `make deploy` writes."""


def template(project: str) -> str:
    """Return the text of the file. Each value that is set is the default."""
    return f"""\
# Settings of {project}, as plain text: no secrets here. `make deploy PROJECT={project}` reads this file, and asks for
# secrets itself. docs/reference/settings.md has every name with its meaning.

# Where the functions run. The database cannot be moved later: a region, or nam5 (United States) or eur3 (Europe).
REGION=us-central1
FIRESTORE_LOCATION=us-central1

# Who takes payments: stripe, paypal, both with a comma, or none.
PAYMENT_PROVIDERS=none
# STRIPE_PUBLISHABLE_KEY=
# PAYPAL_CLIENT_ID=
# PAYPAL_API_BASE=https://api-m.sandbox.paypal.com

# The model provider: OpenAI, or any other with OpenAI's protocol.
AI_PLATFORM_BASE_URL=https://api.openai.com/v1
DEFAULT_MODEL=gpt-4o-mini

# Instances of the API that wait for the first request: 0 costs nothing, 1 answers at once.
MIN_INSTANCES=0

# Days for which backups and deleted files are kept. 0 means none.
BACKUP_DAILY_DAYS=7
BACKUP_WEEKLY_DAYS=98
IMAGES_RETENTION_DAYS=7

# The bucket of the ledger's anchors, better in a project of other people, and the days for which nobody can delete one.
# LEDGER_ANCHOR_BUCKET={project}-anchors
# LEDGER_ANCHOR_DAYS=3650

# Who is mailed when an alert policy opens an incident, and the monthly sum at which Google warns.
# ALERT_EMAIL=operators@example.com
# MONTHLY_BUDGET=500

# Prices: credits for one dollar of model cost, and what is added to the providers' prices.
CREDITS_PER_USD=100
MARKUP_PERCENT=0

# Web apps that may call the API, and App Check once your apps send tokens (off, monitor, enforce).
# CORS_ORIGINS=https://app.example.com
APP_CHECK=off
"""
