"""How long a look-up of a user takes, in the feature store and before a request."""
