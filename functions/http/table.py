"""All routes of the API: one file per resource, listed here in the order of the documentation."""

from functions.http import (
    admin,
    admin_payments,
    agent_tasks,
    analytics,
    api_keys,
    chat,
    credit_history,
    docs,
    images,
    ledger,
    me,
    models,
    monitoring,
    openai,
    openai_images,
    openai_responses,
    payments,
    root,
    stops,
)
from functions.http import credits as credits_
from functions.http.routes import Route

ROUTES: tuple[Route, ...] = (
    *root.routes,
    *me.routes,
    *api_keys.routes,
    *credits_.routes,
    *credit_history.routes,
    *ledger.routes,
    *chat.routes,
    *stops.routes,
    *images.routes,
    *agent_tasks.routes,
    *models.routes,
    *openai.routes,
    *openai_responses.routes,
    *stops.openai_routes,
    *openai_images.routes,
    *analytics.routes,
    *payments.routes,
    *admin.routes,
    *admin_payments.routes,
    *monitoring.routes,
    *docs.routes,
)
