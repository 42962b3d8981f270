"""The process: settings, database, clock, tenancy, telemetry."""
