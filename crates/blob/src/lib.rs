//! Objects: artifacts and telemetry files behind one safe path type.
