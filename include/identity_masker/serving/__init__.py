"""The model server, the fleet that keeps servers alive, and the gateway in front of them."""
