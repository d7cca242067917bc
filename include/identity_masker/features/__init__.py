"""The feature store: what is known of images, sources and users, for training at a past time and for serving now."""
