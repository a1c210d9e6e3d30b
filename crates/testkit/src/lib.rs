//! What tests share: databases of both engines, free ports, data directories.
