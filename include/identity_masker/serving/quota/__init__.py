"""How often a client may ask: the generic cell rate algorithm, in memory or in Redis for all gateways together."""
