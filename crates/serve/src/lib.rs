//! Listeners: the interface for programs, push intake, health and metrics.
