"""The quotastack command."""
