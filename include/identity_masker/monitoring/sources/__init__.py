"""Where the exporter's metrics come from, one module each."""
