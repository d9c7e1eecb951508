//! What every service stands on: settings, telemetry, probes, shutdown.
