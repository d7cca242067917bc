"""The model in a process of its own, so that whatever happens to it happens to no request that it does not hold."""
