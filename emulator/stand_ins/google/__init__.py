"""Google's APIs as a stand-in, for a deployment, a doctor and a runbook to ask about a Google Cloud project.

Held to Google: paths, queries, bodies and answers to the discovery documents of google-api-python-client; limits of
functions to the published quotas; role names and permissions to the IAM reference; regions to the lists of locations;
refusals to the documentation and to users' reports, as far as those tell them. The Firebase CLI's own deploy runs
against the stand-in to its end. Not held: quotas, organisation policies, the syntax of rules, prices.
"""

from emulator.stand_ins.google.server import GoogleStandIn

__all__ = ["GoogleStandIn"]
