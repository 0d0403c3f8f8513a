"""Google's APIs as a stand-in: what a deployment, a doctor and a runbook ask of a Google Cloud project."""

from emulator.stand_ins.google.server import GoogleStandIn

__all__ = ["GoogleStandIn"]
